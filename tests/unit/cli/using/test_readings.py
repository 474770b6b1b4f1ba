"""`texlens read` without a real model."""

import json
from dataclasses import replace

import pytest
from PIL import Image

from tests.fixtures.drawn_images import drawn
from tests.unit.data.test_pdf_regions import write_paper
from texlens.cli.using.readings import ReadingSettings, crop_box, image_list, print_readings, write_readings
from texlens.core.errors import ConfigError, DataError, RunError
from texlens.inference.bulk.readings_file import ReadingsFile
from texlens.inference.confidence import Calibration
from texlens.inference.decoding.sampling import Sampling
from texlens.inference.model import LoadedModel
from texlens.inputs.chat_template import PromptStyle
from texlens.metrics.prediction import Prediction

READER = ReadingSettings("nano", None, None, None, Sampling(0), 0, 16, None, False)
CALIBRATION = Calibration(1.0, 0.1, 0.1, 50, 25, "rows")
OPTIONS = {"output_format": "latex", "raw": False, "confidence": False, "as_json": False, "stream": False}


class FakeBackend:
    """Answers by the image's name; `options` are those of the last call."""

    reads_streams = False

    def __init__(self, **answers):
        self.answers = answers

    def generate(self, samples, style, *, sampling, batch_size, seed, on_token):
        self.style, self.sampling, self.seed = style, sampling, seed
        for sample in samples:
            name = sample.id.rpartition("/")[2].removesuffix(".png")
            answer = self.answers.get(name, {})
            prediction = Prediction(sample.id, "", answer.get("text", "x"), log_probability=-0.01, tokens=3)
            if on_token:
                on_token(sample.id, prediction.text)
            yield replace(prediction, **answer)


@pytest.fixture
def backend(monkeypatch):
    backend = FakeBackend(
        cut={"stop": "length"},
        loop={"stop": "loop"},
        broken={"stop": "failed", "error": "broken.png: damaged\x1b[31m", "log_probability": None},
        doubtful={"log_probability": -3.0},
        fenced={"text": "```latex\nx^2\n```"},
        unclosed={"text": "{x"},
        escape={"text": "\x1b]8;;http://x\x1b\\ab \x9b1m"},
    )
    model = LoadedModel("fake", backend, PromptStyle("Read it.", "Be brief."), 77, CALIBRATION)
    monkeypatch.setattr("texlens.inference.open.open_model", lambda *_, **__: model)
    return backend


@pytest.fixture
def images(tmp_path):
    def named(*names):
        for name in names:
            (tmp_path / f"{name}.png").write_bytes(drawn(40, 40))
        return image_list([tmp_path / f"{name}.png" for name in names], None, None)

    return named


def test_complete_readings_are_printed_and_nothing_is_remarked(backend, images, capsys):
    assert not print_readings(images("a"), READER, **OPTIONS)
    assert capsys.readouterr() == ("x\n", "")


@pytest.mark.parametrize(
    ("name", "remark"), [("cut", "cut at the token limit; --max-tokens"), ("loop", "repeats itself")]
)
def test_cut_or_repeated_reading_is_reported(backend, images, capsys, name, remark):
    assert print_readings(images(name, "a"), READER, **OPTIONS)
    assert f"{name}.png: {remark}" in capsys.readouterr().err


def test_failed_reading_is_an_error_without_control_characters(backend, images):
    with pytest.raises(DataError, match=r"broken\.png: damaged\\x1b\[31m"):
        print_readings(images("broken", "a"), READER, **OPTIONS)


def test_low_confidence_is_remarked(backend, images, capsys):
    print_readings(images("doubtful", "a"), READER, **OPTIONS)
    err = capsys.readouterr().err
    assert "doubtful.png: low confidence: it may be no formula" in err
    assert "a.png" not in err


def test_reading_that_does_not_parse_is_named_with_the_place(backend, images, capsys):
    print_readings(images("unclosed"), READER, **OPTIONS | {"confidence": True})
    out, err = capsys.readouterr()
    assert out == "0.000\t{x\n"
    assert "unclosed.png: not valid: `{` is never closed, at character 0" in err


def test_fence_is_removed_unless_clean_up_is_off(backend, images, capsys):
    paths = images("fenced")
    for clean, latex, valid, confidence in ((True, "x^2", True, 0.99), (False, "```latex\nx^2\n```", False, 0.0)):
        print_readings(paths, replace(READER, clean=clean), **OPTIONS | {"as_json": True})
        (row,) = json.loads(capsys.readouterr().out)["readings"]
        assert (row["latex"], row["valid"]) == (latex, valid)
        assert row["confidence"] == pytest.approx(confidence, abs=1e-2)
        assert row.get("removed", []) == (["code fence"] if clean else [])


@pytest.mark.parametrize("changes", [{}, {"stream": True}, {"output_format": "markdown"}, {"raw": True}])
def test_terminal_escapes_of_a_reading_are_printed_as_text(backend, images, capsys, changes):
    print_readings(images("escape"), READER, **{**OPTIONS, **changes})
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\x9b" not in out
    assert "\\x1b" in out


def test_default_limit_is_that_of_the_model_and_prompts_are_those_of_training(backend, images):
    print_readings(images("a"), READER, **OPTIONS)
    assert backend.sampling == Sampling(77)
    assert backend.style == PromptStyle("Read it.", "Be brief.")


def test_options_reach_the_model(backend, images):
    sampling = Sampling(5, 1.5, 0.9, 0.1, 20, 1.2)
    reader = replace(READER, sampling=sampling, prompt="What is it?", system="", seed=7)
    print_readings(images("a"), reader, **OPTIONS)
    assert (backend.sampling, backend.seed) == (sampling, 7)
    assert backend.style == PromptStyle("What is it?", "")


def test_file_with_a_failed_row_is_an_error_on_every_call(backend, images, tmp_path, capsys):
    out = tmp_path / "out.jsonl"
    for _ in range(3):
        with pytest.raises(DataError, match=r"broken\.png: damaged"):
            write_readings(images("a", "broken"), out, READER)
    assert [json.loads(line)["image"].rpartition("/")[2] for line in out.read_text().splitlines()] == [
        "a.png",
        "broken.png",
    ]
    assert not write_readings(images("a"), out, READER), "the images of this call are all read"
    assert capsys.readouterr().out.splitlines() == [
        f"1 read into {out}, 1 failed",
        *[f"0 read into {out}, 0 failed"] * 3,
    ]


def test_file_with_a_cut_row_is_incomplete_on_every_call(backend, images, tmp_path):
    out = tmp_path / "out.jsonl"
    assert [write_readings(images("a", "cut"), out, READER) for _ in range(2)] == [True, True]


def test_second_writer_is_refused_before_a_model_is_opened(backend, images, tmp_path):
    out = tmp_path / "out.jsonl"
    with ReadingsFile(out), pytest.raises(RunError, match="another process writes readings into it"):
        write_readings(images("a"), out, READER)
    assert not hasattr(backend, "style")


def test_part_of_an_image_is_read(tmp_path):
    image = Image.new("RGB", (100, 50), "white")
    image.paste("black", (50, 0, 100, 25))
    image.save(tmp_path / "x.png")
    (part,) = image_list([tmp_path / "x.png"], None, "0.5,0,1,0.5")
    pixels = part.open().load()
    assert pixels.size == (50, 25)
    assert pixels.getextrema() == ((0, 0), (0, 0), (0, 0))


@pytest.mark.parametrize("text", ["", "1,2", "0.5,0,0.4,1", "0,0,1,2", "a,b,c,d", "nan,0,1,1", "0,0,1,1,1"])
def test_other_crops_are_refused(text):
    with pytest.raises(ConfigError, match="--crop"):
        crop_box(text)


def test_pages_of_a_pdf_are_images_of_their_own(tmp_path):
    pages = [Image.new("RGB", (72, 72), color) for color in ("black", "white", "red")]
    pages[0].save(tmp_path / "paper.pdf", "PDF", save_all=True, append_images=pages[1:])
    images = image_list([tmp_path / "paper.pdf"], "2-3", None)

    assert [image.name for image in images] == [f"{tmp_path}/paper.pdf#page={page}" for page in (2, 3)]
    assert images[0].open().load().getpixel((5, 5)) == (255, 255, 255)


def test_pages_without_a_pdf_are_refused(images, tmp_path):
    images("a")
    with pytest.raises(ConfigError, match="none of the files is a PDF"):
        image_list([tmp_path / "a.png"], "1", None)


def test_parts_of_a_pdf_are_named_by_page_and_box(tmp_path):
    pytest.importorskip("pypdfium2")
    paper = write_paper(tmp_path / "paper.pdf")
    (tmp_path / "parts.jsonl").write_text('{"page": 1, "box": [0, 0, 0.5, 0.5]}\n{"page": 1}\n')
    images = image_list([paper], None, None, tmp_path / "parts.jsonl")
    assert [image.name for image in images] == [f"{paper}#page=1&box=0,0,0.5,0.5", f"{paper}#page=1"]
    assert images[0].open().size[0] == images[1].open().size[0] // 2


def test_parts_go_with_one_pdf_alone(tmp_path):
    (tmp_path / "parts.jsonl").write_text('{"page": 1}\n')
    with pytest.raises(ConfigError, match="--crops goes with one PDF"):
        image_list([tmp_path / "a.png"], None, None, tmp_path / "parts.jsonl")
