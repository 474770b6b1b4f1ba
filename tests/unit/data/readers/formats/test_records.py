"""Flat JSON rows, in a file or on lines."""

import json
import pickle

import pytest

from tests.unit.data.readers.formats.files import image, read
from texlens.data.load import load_split
from texlens.data.readers.registry import find_format


def test_flat_json_rows_name_their_image_question_and_answer(tmp_path):
    image(tmp_path / "img/a.png")
    rows = [{"image_path": "img/a.png", "question": "Read", "answer": "x", "level": 3}]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    assert find_format(tmp_path / "rows.json").name == "records"
    assert read(tmp_path / "rows.json") == [("train-0", "x", "Read", (40, 20), {"level": 3})]


def test_lines_in_a_file_called_json_are_read_as_lines(tmp_path):
    image(tmp_path / "a.png")
    (tmp_path / "rows.json").write_text('{"image": "a.png", "text": "x"}\n{"image": "a.png", "text": ["y", "z"]}\n')
    first, second = load_split(tmp_path / "rows.json")
    assert (first.text, second.answers) == ("x", ("y", "z"))


@pytest.mark.parametrize("ending", ["json", "jsonl", "csv"])
def test_rows_travel_to_workers_that_are_not_forked(tmp_path, ending, monkeypatch):
    monkeypatch.setattr("texlens.data.readers.rows.json_rows.MAX_IN_MEMORY_BYTES", 0)
    image(tmp_path / "a.png")
    texts = {"json": '[{"image": "a.png", "text": "x"}]', "jsonl": '{"image": "a.png", "text": "x"}'}
    (tmp_path / f"rows.{ending}").write_text(texts.get(ending, "image,text\na.png,x\n"))
    rows = pickle.loads(pickle.dumps(load_split(str(tmp_path / f"rows.{ending}"))))
    assert (rows[0].text, rows[0].image.size) == ("x", (40, 20))
