import json
from pathlib import Path

import pytest

from texlens.core.errors import DataError, RunError
from texlens.inference.bulk.readings_file import ReadingsFile, image_names


def test_folders_are_walked_in_order_and_files_keep_their_order(tmp_path):
    for name in ("b/2.PNG", "b/1.jpg", "b/deep/3.webp", "b/notes.txt", "a.dat"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    names = list(image_names([tmp_path / "a.dat", tmp_path / "b", Path("-")]))

    assert names == [
        str(tmp_path / "a.dat"),
        *(str(tmp_path / "b" / name) for name in ("1.jpg", "2.PNG", "deep/3.webp")),
        "-",
    ]


def test_folder_without_images_is_refused(tmp_path):
    with pytest.raises(DataError, match="no image in it"):
        list(image_names([tmp_path]))


def test_images_in_the_file_are_not_read_again_and_a_cut_line_is_removed(tmp_path):
    path = tmp_path / "new" / "out.jsonl"
    with ReadingsFile(path) as file:
        file.append([{"image": "a.png"}, {"image": "b.png", "error": "damaged"}])
    with path.open("a") as file:
        file.write('{"image": "c.p')

    with ReadingsFile(path) as again:
        assert list(again.missing(["a.png", "b.png", "c.png"])) == ["c.png"]
        assert again.rows["b.png"] == {"image": "b.png", "error": "damaged"}
        again.append([{"image": "c.png"}])
    assert [json.loads(line)["image"] for line in path.read_text().splitlines()] == ["a.png", "b.png", "c.png"]


def test_file_of_something_else_is_not_changed(tmp_path):
    path = tmp_path / "notes.jsonl"
    path.write_text("[1, 2]\n")
    with pytest.raises(DataError, match=r"notes.jsonl:1: not a reading"):
        ReadingsFile(path)
    assert path.read_text() == "[1, 2]\n"


def test_second_writer_of_a_file_is_refused(tmp_path):
    path = tmp_path / "out.jsonl"
    with ReadingsFile(path), pytest.raises(RunError, match="another process writes readings into it"):
        ReadingsFile(path)
    ReadingsFile(path).close()


def test_image_whose_name_is_not_utf_8_is_found_again(tmp_path):
    path = tmp_path / "out.jsonl"
    with ReadingsFile(path) as file:
        file.append([{"image": "a\udcff.png"}])
    with ReadingsFile(path) as again:
        assert list(again.missing(["a\udcff.png"])) == []
