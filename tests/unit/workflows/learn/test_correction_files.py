"""Corrections through a file: CSV, TSV, JSON, JSON lines."""

import csv
import json

import pytest

from texlens.core.errors import DataError
from texlens.data.edits.log import EditLog
from texlens.workflows.learn.correction_files import import_corrections, write_queue
from texlens.workflows.learn.doubt import Doubt
from texlens.workflows.learn.images import find_images
from texlens.workflows.learn.queue import QueuedImage
from texlens.workflows.learn.reading import ImageReading


@pytest.fixture
def load(photos):
    images = find_images(photos)
    log = EditLog(photos / "learn" / "corrections.jsonl")
    readings = {key: ImageReading(key, "read") for key in images.by_key}

    def load(path):
        return import_corrections(path, photos, images, readings, log, who="anna")

    load.images, load.log = images, log
    return load


def texts(load):
    names = {image.key: image.name for image in load.images.by_key.values()}
    return {names[key]: state.label for key, state in load.log.rows().items()}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'image,text\n1.png,"a, b"\ndeep/0.png,y\n2.png,\n4.png,-\n'),
        ("a.tsv", "path\tlatex\n1.png\ta, b\ndeep/0.png\ty\n2.png\t\n4.png\t-\n"),
        (
            "a.jsonl",
            '{"image": "1.png", "text": "a, b"}\n{"image": "deep/0.png", "text": "y"}\n'
            '{"image": "2.png", "text": ""}\n{"image": "4.png", "text": "-"}\n',
        ),
        (
            "a.json",
            json.dumps(
                [
                    {"file_name": n, "formula": t}
                    for n, t in (("1.png", "a, b"), ("deep/0.png", "y"), ("2.png", ""), ("4.png", "-"))
                ]
            ),
        ),
    ],
)
def test_rows_are_read_in_every_form(load, tmp_path, name, content):
    (tmp_path / name).write_text(content)
    counts = load(tmp_path / name)
    assert (counts.corrected, counts.left_out, counts.empty, counts.known) == (2, 1, 1, 0)
    assert texts(load) == {"1.png": "a, b", "deep/0.png": "y", "4.png": None}
    assert load.log.edits()[0].note == name
    again = load(tmp_path / name)
    assert (again.corrected, again.left_out, again.known) == (0, 0, 3)


def test_the_queue_comes_back_when_it_is_filled_in(load, tmp_path):
    image = next(image for image in load.images.by_key.values() if image.name == "1.png")
    write_queue(tmp_path / "todo.csv", [QueuedImage(image, ImageReading(image.key, "a,b"), Doubt(0.5, 0.5), False)])
    rows = list(csv.DictReader((tmp_path / "todo.csv").open()))
    assert rows == [{"image": "1.png", "text": "", "reading": "a,b", "doubt": "0.5000"}]
    (tmp_path / "todo.csv").write_text((tmp_path / "todo.csv").read_text().replace("1.png,,", "1.png,z,"))
    assert load(tmp_path / "todo.csv").corrected == 1
    assert texts(load) == {"1.png": "z"}


def test_an_image_elsewhere_is_found_by_its_content(load, photos, tmp_path):
    (tmp_path / "other.png").write_bytes((photos / "1.png").read_bytes())
    (tmp_path / "a.csv").write_text("image,text\nother.png,y\n")
    load(tmp_path / "a.csv")
    assert texts(load) == {"1.png": "y"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "image,text\n1.png,x\nnone.png,y\n", r"line 3: no image 'none.png'"),
        ("a.csv", "image,words\n1.png,x\n", "no column 'text'"),
        ("a.csv", 'image,text\n1.png,"x\n', "not CSV"),
        ("a.json", "{", "not JSON"),
        ("a.json", "[1]", "not a list of objects"),
        ("a.jsonl", '{"image": "2.png", "text": "x"}\n{"image": "1.png", "text": 7}\n', "row 2: the text is a int"),
        ("a.jsonl", '{"image": "2.png", "text": "x"}\n{"image": "1.png"}\n', "row 2: no column 'text'"),
        ("a.jsonl", '{"image": "2.png", "text": "x"}\n{"image": "1.png", "text": "\\ud800"}\n', "row 2: character 0"),
        ("a.xlsx", "", "are read from .csv"),
    ],
)
def test_a_file_at_fault_changes_nothing(load, tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        load(tmp_path / name)
    assert load.log.edits() == []
