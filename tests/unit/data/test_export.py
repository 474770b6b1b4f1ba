"""Data sets exported and read again."""

import io
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.fixtures.thorough import IS_THOROUGH
from tests.unit.data.sample_factory import PICTURES, image, plain_sample, samples, values
from texlens.data.export import export
from texlens.data.folder.writer import FolderWriter, read_folder
from texlens.data.load import load_split
from texlens.data.sample import Sample, Turn
from texlens.data.writers.registry import WRITERS

QUICK = settings(max_examples=40 if IS_THOROUGH else 12, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def folder_of(path, rows):
    with FolderWriter(path, made_by={}) as writer:
        for row in rows:
            writer.add("train", row)
    return read_folder(path)


@pytest.mark.parametrize("name", list(WRITERS))
@QUICK
@given(rows=st.lists(samples(), min_size=1, max_size=4, unique_by=lambda sample: sample.id))
def test_a_format_keeps_a_row_or_rejects_it(tmp_path_factory, name, rows):
    home = tmp_path_factory.mktemp("rows")
    rows = [plain_sample("a plain row"), *rows]
    statistics, _ = export(folder_of(home / "d", rows), home / "out", WRITERS[name], {})
    assert statistics["rows_in"] == len(rows) == statistics["kept"] + statistics["rejected"]
    back = {row.id: values(row) for row in load_split(str(home / "out"))}
    assert len(back) == statistics["kept"]
    assert back == {row.id: values(row) for row in rows if row.id in back}


RICH = Sample(
    "7",
    image(PICTURES[0]),
    "a product",
    prompt="And <image>?",
    system="Be short",
    domain="print",
    extra={"level": 3},
    more_images=(image(PICTURES[1]),),
    history=(Turn("user", "What is <image>?"), Turn("assistant", "a sum")),
    more_answers=("product",),
)


@pytest.mark.parametrize("name", ["messages", "conversations", "sharegpt", "llava"])
def test_several_images_turns_and_answers_pass_through(tmp_path, name):
    statistics, _ = export(folder_of(tmp_path / "d", [RICH]), tmp_path / "out", WRITERS[name], {})
    assert statistics["rejected"] == 0
    assert [values(row) for row in load_split(str(tmp_path / "out"))] == [values(RICH)]


@pytest.mark.parametrize("name", list(WRITERS))
def test_a_row_with_fewer_images_than_marks_is_rejected(tmp_path, name):
    turns = (Turn("user", "<image>"), Turn("assistant", "x"))
    row = Sample("0", image(PICTURES[0]), "x", prompt="<image>", history=turns)
    statistics, _ = export(folder_of(tmp_path / "d", [plain_sample("1"), row]), tmp_path / "out", WRITERS[name], {})
    assert (statistics["kept"], statistics["rejected"]) == (1, 1)


def written(tmp_path, name):
    export(folder_of(tmp_path / "d", [plain_sample(prompt="Read")]), tmp_path / "out", WRITERS[name], {})
    (path,) = (path for path in (tmp_path / "out").glob("train.*"))
    return path.read_text()


FILE = "images/train/0000000-7.png"


def test_the_formats_look_as_others_expect_them(tmp_path):
    turn = [{"from": "human", "value": "<image>Read"}, {"from": "gpt", "value": "x^2"}]
    assert json.loads(written(tmp_path / "s", "sharegpt")) == [{"id": "7", "conversations": turn, "images": [FILE]}]
    assert json.loads(written(tmp_path / "l", "llava")) == [{"id": "7", "image": FILE, "conversations": turn}]
    assert json.loads(written(tmp_path / "c", "conversations"))[0]["conversations"] == [
        {"role": "user", "value": f"<|vision_start|>{FILE}<|vision_end|>Read"},
        {"role": "assistant", "value": "x^2"},
    ]
    assert json.loads(written(tmp_path / "m", "messages"))["messages"] == [
        {"role": "user", "content": [{"type": "image", "image": FILE}, {"type": "text", "text": "Read"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "x^2"}]},
    ]
    assert written(tmp_path / "t", "csv") == (
        f"image_path,text,id,prompt,system,domain,answers,more_questions,extra\n{FILE},x^2,7,Read,,,,,\n"
    )


def write_images(folder):
    folder.mkdir()
    Image.new("RGBA", (40, 20), (10, 200, 30, 255)).save(folder / "a.png")
    Image.new("RGB", (40, 20), (10, 200, 30)).save(folder / "b.jpg", quality=95)
    for name in ("a", "b"):
        (folder / f"{name}.txt").write_text(f"{name} ^ 2")
    return folder


def exported_images(tmp_path, to, **options):
    rows = load_split(str(write_images(tmp_path / "rows")))
    export({"train": rows}, tmp_path / "out", WRITERS[to], {"to": to}, **options)
    return load_split(str(tmp_path / "out"), format="csv" if to == "csv" else "conversations")


def test_images_become_jpeg_and_texts_stay(tmp_path):
    rows = exported_images(tmp_path, "csv", jpeg=True)
    assert rows.texts() == ["a ^ 2", "b ^ 2"]
    for row in rows:
        decoded = Image.open(io.BytesIO(row.image.encoded()))
        assert decoded.format == "JPEG"
        assert np.abs(np.asarray(decoded, int) - (10, 200, 30)).max() <= 6


def test_an_image_that_is_a_jpeg_is_not_encoded_again(tmp_path):
    rows = exported_images(tmp_path, "conversations", jpeg=True)
    assert rows[1].image.encoded() == (tmp_path / "rows/b.jpg").read_bytes()


def test_without_it_every_image_keeps_its_bytes(tmp_path):
    rows = exported_images(tmp_path, "csv")
    assert rows[0].image.encoded() == (tmp_path / "rows/a.png").read_bytes()


def test_rows_are_numbered_in_place_of_their_ids(tmp_path):
    rows = [plain_sample("deep/a"), RICH, plain_sample("deep/b")]
    statistics, _ = export(folder_of(tmp_path / "d", rows), tmp_path / "out", WRITERS["csv"], {}, ids="identity")
    assert (statistics["kept"], statistics["rejected"]) == (2, 1)
    assert load_split(str(tmp_path / "out")).ids() == ["identity_1", "identity_2"], "without a gap"
    (rejected,) = (tmp_path / "out/rejected.jsonl").read_text().splitlines()
    assert json.loads(rejected)["id"] == "7", "by its own id"
