from pathlib import Path

import pytest

from texlens.core.errors import DataError
from texlens.data.readers.rows.image_files import check_inside, image_path


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("https://x.org/a.png", "is a URL"),
        ("/9j/" + "A" * 200, "base64"),
        ("a\0.png", "NUL"),
        ("x" * 300, "a file name of 300 bytes"),
        ("\ud800.png", "UTF-8 can't hold"),
        ("../a.png", "is outside"),
    ],
)
def test_a_name_that_is_no_file_of_the_folder_is_rejected(tmp_path, name, reason):
    with pytest.raises(DataError, match=reason):
        image_path(tmp_path, name, allow_outside=False)


def test_names_are_relative_to_the_folder_and_may_leave_it_when_allowed(tmp_path):
    assert image_path(tmp_path, "b/a.png", allow_outside=False) == tmp_path / "b/a.png"
    assert image_path(tmp_path, "../a.png", allow_outside=True) == tmp_path / "../a.png"


def test_a_link_out_of_the_folder_is_named(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").symlink_to(tmp_path / "a.txt")
    with pytest.raises(DataError, match=r"text 'a.txt' is outside"):
        check_inside(tmp_path / "in", tmp_path / "in" / "a.txt", "a.txt", "text")


def test_a_relative_folder_is_that_of_the_working_directory_of_the_call(tmp_path, monkeypatch):
    for name in ("first", "second"):
        (tmp_path / name / "images").mkdir(parents=True)
        monkeypatch.chdir(tmp_path / name)
        assert image_path(Path(), "images/a.png", allow_outside=False) == Path("images/a.png")


def test_a_step_up_from_a_linked_folder_is_outside(tmp_path):
    (tmp_path / "elsewhere/inner").mkdir(parents=True)
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows/link").symlink_to(tmp_path / "elsewhere/inner")
    with pytest.raises(DataError, match="is outside"):
        image_path(tmp_path / "rows", "link/../secret.png", allow_outside=False)


@pytest.mark.parametrize("unpacked", ["data", "benchmarks"])
def test_with_allow_outside_a_name_may_be_relative_to_where_the_set_was_unpacked(tmp_path, unpacked):
    lists = tmp_path / unpacked / "CROHME/prompts"
    image = tmp_path / unpacked / "CROHME/2014/a.png"
    for folder in (lists, image.parent):
        folder.mkdir(parents=True)
    image.write_bytes(b"")
    assert image_path(lists, "./data/CROHME/2014/a.png", allow_outside=True) == image
    assert image_path(lists, "b.png", allow_outside=True) == lists / "b.png"
    assert not image_path(lists, "./data/CROHME/2014/a.png", allow_outside=False).exists()
