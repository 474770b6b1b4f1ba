import json
from pathlib import Path

import pytest

from texlens.core.errors import DataError
from texlens.inference.bulk import ReadingsFile, image_names


def test_folders_are_walked_in_order_and_files_are_taken_as_named(tmp_path):
    for name in ("b/2.PNG", "b/1.jpg", "b/deep/3.webp", "b/notes.txt", "a.dat"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    names = list(image_names([tmp_path / "a.dat", tmp_path / "b", Path("-")]))

    assert names == [
        str(tmp_path / "a.dat"),
        *(str(tmp_path / "b" / name) for name in ("1.jpg", "2.PNG", "deep/3.webp")),
        "-",
    ]


def test_a_folder_without_images_is_named(tmp_path):
    with pytest.raises(DataError, match="no image in it"):
        list(image_names([tmp_path]))


def test_what_stands_in_the_file_is_not_read_again_and_a_half_line_is_cut_off(tmp_path):
    path = tmp_path / "new" / "out.jsonl"
    ReadingsFile(path).append([{"image": "a.png"}, {"image": "b.png", "error": "damaged"}])
    with path.open("a") as file:
        file.write('{"image": "c.p')

    again = ReadingsFile(path)
    assert list(again.missing(["a.png", "b.png", "c.png"])) == ["c.png"]
    again.append([{"image": "c.png"}])
    assert [json.loads(line)["image"] for line in path.read_text().splitlines()] == ["a.png", "b.png", "c.png"]


def test_a_file_of_something_else_is_left_alone(tmp_path):
    path = tmp_path / "notes.jsonl"
    path.write_text("[1, 2]\n")
    with pytest.raises(DataError, match=r"notes.jsonl:1: not a reading"):
        ReadingsFile(path)
    assert path.read_text() == "[1, 2]\n"
