"""Images by content, and which of them are held out."""

import os

import pytest

from tests.unit.data.pictures import png
from texlens.core.errors import DataError
from texlens.workflows.learn.images import find_images, is_held_out


def test_images_of_all_folders_count_but_those_of_the_state(photos):
    (photos / "learn" / "rounds").mkdir(parents=True)
    (photos / "learn" / "rounds" / "a.png").write_bytes(png(8, 8, 99))
    (photos / ".hidden").mkdir()
    (photos / ".hidden" / "a.png").write_bytes(png(8, 8, 98))
    (photos / "notes.txt").write_text("x")
    names = [image.name for image in find_images(photos).by_key.values()]
    assert sorted(names) == sorted(f"deep/{n}.png" if n % 3 == 0 else f"{n}.png" for n in range(12))


def test_the_same_content_counts_once(photos):
    (photos / "copy.png").write_bytes((photos / "1.png").read_bytes())
    images = find_images(photos)
    assert len(images.by_key) == 12
    assert images.copies == {"copy.png": "1.png"}


def test_a_renamed_image_is_the_same(photos):
    before = {image.key for image in find_images(photos).by_key.values()}
    (photos / "1.png").rename(photos / "deep" / "renamed.png")
    assert {image.key for image in find_images(photos).by_key.values()} == before


def test_a_file_that_can_t_be_read_is_named(photos):
    os.mkfifo(photos / "pipe.png")
    assert "not a regular file" in find_images(photos).unreadable["pipe.png"]


def test_a_folder_without_images_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no image in it"):
        find_images(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        find_images(tmp_path / "none")


def test_the_hold_out_is_about_its_share_and_never_changes():
    keys = [f"{number:064x}" for number in range(4_000)]
    held_out = {key for key in keys if is_held_out(key, 0.25)}
    assert 0.22 < len(held_out) / len(keys) < 0.28
    assert held_out <= {key for key in keys if is_held_out(key, 0.5)}
    assert [number for number in range(40) if keys[number] in held_out] == [8, 18, 22, 24, 36, 37, 39]
