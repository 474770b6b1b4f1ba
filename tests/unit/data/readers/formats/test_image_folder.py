"""Folders of images with texts or metadata beside them."""

import json

from tests.unit.data.readers.formats.files import image, read
from texlens.data.load import load_split
from texlens.data.readers.registry import find_format, list_splits


def test_images_with_a_text_file_beside_each(tmp_path):
    image(tmp_path / "deep/a.png")
    image(tmp_path / "b.png")
    (tmp_path / "deep/a.txt").write_text("x^2\n")
    assert find_format(tmp_path).name == "images"
    assert read(tmp_path) == [("deep/a", "x^2", None, (40, 20), {})]
    assert [str(rejected_row) for rejected_row in load_split(tmp_path).rejected] == [
        f"{tmp_path} b.png: no b.txt beside it; write its text there"
    ]


def test_a_folder_of_images_with_metadata_in_splits(tmp_path):
    for split in ("train", "test"):
        image(tmp_path / split / "a.png")
        (tmp_path / split / "metadata.jsonl").write_text(json.dumps({"file_name": "a.png", "text": split}))
    assert list_splits(str(tmp_path)) == ["train", "test"]
    assert read(tmp_path, "test")[0][1] == "test"
