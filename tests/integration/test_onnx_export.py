"""An adapter exported to ONNX by torch's exporter, read by onnxruntime and by a page in Chromium.

torch's exporter takes seconds, so one tiny run of the 2B model's family is exported once; its 8-bit files are made from
the float32 ones. FULL_EXPORTS=1 does the same with nano, reads 200 rows, and weighs its page.
"""

import base64
import io
import os
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw
from rich.console import Console

from tests.fixtures.browser import Page, chromium
from tests.fixtures.static_server import static_server
from tests.unit.exporting.conftest import write_run
from texlens.config.load import build_config
from texlens.core.errors import ExportError
from texlens.data.sample import LazyImage, Sample
from texlens.evaluation.saved_run import open_run
from texlens.exporting.decoding import Decoding
from texlens.exporting.onnx.reader_settings import write_reader_settings
from texlens.exporting.onnx.weights import round_weights
from texlens.exporting.onnx.write import write_onnx
from texlens.exporting.pipeline import export_run
from texlens.exporting.web.assemble import write_page
from texlens.inference.backend import Backend
from texlens.inference.backends.onnx.backend import OnnxRows
from texlens.inference.backends.onnx.sessions import IMAGE_ENCODER, TEXT_DECODER, OnnxSessions
from texlens.inference.backends.row_by_row import RowByRowBackend
from texlens.inference.decoding.sampling import Sampling
from texlens.inference.open import open_model
from texlens.inputs.build import read_split
from texlens.inputs.chat_template import PromptStyle
from texlens.inputs.image_patches import resized_image
from texlens.inputs.row_check import check_rows
from texlens.models.bundled import NANO_FOLDER
from texlens.models.processor import load_processor

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")


def drawn(width: int, height: int, seed: int) -> bytes:
    """A PNG with lines and a transparent corner."""
    image = Image.new("RGBA", (width, height), "white")
    draw = ImageDraw.Draw(image)
    for number in range(5):
        x = (seed * 37 + number * 23) % width
        draw.line((x, 0, width - x, height), fill=(20 * number, 90, 10 * seed, 255), width=2)
    draw.rectangle((0, 0, width // 4, height // 4), fill=(0, 0, 0, 0))
    return png(image)


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


IMAGES = [drawn(200, 60, 1), drawn(37, 90, 2), drawn(640, 480, 3)]
SAMPLES = [
    Sample(str(number), LazyImage(lambda data=data: data, f"{number}.png"), "x") for number, data in enumerate(IMAGES)
]


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> tuple[Path, Path]:
    """A run, and its export in float32."""
    root = tmp_path_factory.mktemp("onnx")
    run = write_run(root)
    config, folder = open_run(run.path)
    export_run(config, folder, root / "out", "onnx", console=Console(quiet=True))
    return run.path, root / "out"


@pytest.fixture(scope="module")
def web(exported, tmp_path_factory) -> Path:
    """The same export with 8-bit weights and the page."""
    folder = tmp_path_factory.mktemp("web") / "out"
    shutil.copytree(exported[1], folder)
    page_bytes(folder)
    return folder


def page_bytes(folder: Path) -> int:
    """Rounds the weights of an ONNX pair to 8 bits, and writes the page; returns the bytes that a browser loads."""
    for name in (IMAGE_ENCODER, TEXT_DECODER):
        proto = onnx.load(str(folder / name))
        round_weights(proto)
        onnx.save(proto, str(folder / name))
    try:
        return write_page(folder)["page bytes"]
    except ExportError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def page(web, tmp_path_factory) -> Iterator[Page]:
    with static_server(web) as address, chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser.page(f"{address}/index.html")


def page_text(page: Page, data: bytes) -> str:
    """The LaTeX that the page writes for an image."""
    page.js("document.getElementById('copy').hidden = true")
    page.give("choose", data)
    page.wait("!document.getElementById('copy').hidden || state.classList.contains('wrong')")
    return page.js("document.getElementById('latex').value")


@pytest.mark.slow
def test_onnxruntime_gives_the_logits_and_texts_of_the_adapter(exported):
    run, folder = exported
    adapter, artifact = open_model(run), open_model(folder)
    torch.testing.assert_close(
        artifact.next_token_logits(SAMPLES), adapter.next_token_logits(SAMPLES), atol=2e-4, rtol=1e-4
    )
    greedy = Sampling(12)
    texts = [[prediction.text for prediction in model.read(SAMPLES, sampling=greedy)] for model in (adapter, artifact)]
    assert texts[0] == texts[1]


@pytest.mark.slow
def test_the_page_reads_in_chromium_what_onnxruntime_reads(web, page):
    expected = [prediction.text for prediction in open_model(web).read(SAMPLES, sampling=Sampling(4))]
    assert page.text("#state") == "Ready."
    assert [page_text(page, data) for data in IMAGES] == expected
    assert page.wrongs == []


@pytest.mark.slow
def test_a_file_that_is_no_image_is_reported(page):
    page.give("choose", b"no image")
    page.wait("state.classList.contains('wrong')")
    assert page.js("document.getElementById('latex').hidden")


@pytest.mark.slow
def test_resizing_in_the_page_is_pillows(web, page):
    geometry = load_processor(web).geometry
    for sample, data in zip(SAMPLES, IMAGES, strict=True):
        expected = resized_image(sample.image.load(), geometry)
        actual = page.js(PIXELS.format(data=base64.b64encode(data).decode()))
        assert actual["size"] == [expected.height, expected.width, 3]
        assert base64.b64decode(actual["data"]) == expected.tobytes()


PIXELS = """(async () => {{
  const {{ Reader }} = await import("./reader.js");
  window.theReader ??= await Reader.open();
  const bytes = Uint8Array.from(atob("{data}"), (c) => c.charCodeAt(0));
  const tensor = await window.theReader.pixels(new Blob([bytes], {{ type: "image/png" }}));
  let text = "";
  for (const byte of tensor.data) text += String.fromCharCode(byte);
  return {{ size: [...tensor.dims], data: btoa(text) }};
}})()"""


@pytest.fixture(scope="module")
def nano(tmp_path_factory) -> Path:
    """The bundled model in float32."""
    if not os.environ.get("FULL_EXPORTS"):
        pytest.skip("minutes; make test-all sets FULL_EXPORTS")
    folder = tmp_path_factory.mktemp("nano")
    write_onnx(NANO_FOLDER, load_processor(NANO_FOLDER), folder)
    return folder


def demo_rows(count: int) -> list[Sample]:
    config = build_config({"model": {"path": "nano"}, "data": {"path": "demo"}})
    rows = check_rows(read_split(config.data, "train"), load_processor(NANO_FOLDER).geometry).usable
    return list(islice(rows, count))


STYLE = PromptStyle(build_config({"model": {"path": "nano"}, "data": {"path": "demo"}}).data.prompt)


def texts_of(backend: Backend, samples: list[Sample]) -> dict[str, str]:
    predictions = backend.generate(samples, STYLE, sampling=Sampling(64), batch_size=16, seed=0, on_token=None)
    return {prediction.id: prediction.text for prediction in predictions}


def onnx_backend(folder: Path) -> Backend:
    processor = load_processor(NANO_FOLDER)
    return RowByRowBackend(OnnxRows(OnnxSessions(folder), processor, 2048), processor)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_nano_in_float32_reads_200_rows_as_the_checkpoint_does(nano):
    samples = demo_rows(200)
    assert len(samples) == 200
    expected = texts_of(open_model("nano", backend="transformers").backend, samples)
    assert texts_of(onnx_backend(nano), samples) == expected


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_page_of_nano_is_below_30_mb_and_reads_in_chromium_what_onnxruntime_reads(nano, tmp_path):
    folder = tmp_path / "page"
    shutil.copytree(nano, folder)
    write_reader_settings(folder, STYLE.prompt, None, load_processor(NANO_FOLDER), Decoding(64))
    assert page_bytes(folder) < 30_000_000
    samples = demo_rows(5)
    expected = texts_of(onnx_backend(folder), samples)
    with static_server(folder) as address, chromium(tmp_path / "profile") as browser:
        page = browser.page(f"{address}/index.html")
        page.wait("state.textContent === 'Ready.'")
        texts = {sample.id: page_text(page, png(sample.image.load())) for sample in samples}
        assert page.wrongs == []
    assert texts == expected
