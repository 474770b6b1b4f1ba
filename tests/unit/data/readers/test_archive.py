import zipfile

import pytest

from tests.unit.data.pictures import png
from texlens.core.errors import DataError
from texlens.data.load import load_split
from texlens.data.readers import archive


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXLENS_CACHE", str(tmp_path / "cache"))


def zipped(path, **files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        for name, data in files.items():
            file.writestr(name.replace("__", "/").replace("_dot_", "."), data)
    return path


def test_a_zip_is_read_as_the_folder_in_it(tmp_path):
    path = zipped(tmp_path / "a.zip", set__a_dot_png=png(), set__a_dot_txt="x")
    assert [(row.id, row.text, row.image.size) for row in load_split(str(path))] == [("a", "x", (64, 32))]


def test_a_zip_cut_short_is_named_and_leaves_nothing(tmp_path):
    path = zipped(tmp_path / "a.zip", a_dot_png=png(), a_dot_txt="x")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"a.zip: not a complete zip .* download it again"):
        load_split(str(path))
    assert list((tmp_path / "cache/archives").iterdir()) == []


def test_a_damaged_image_in_a_zip_is_one_bad_row(tmp_path):
    pictures = png(seed=1), png(seed=2)
    path = zipped(tmp_path / "a.zip", a_dot_png=pictures[0], a_dot_txt="x", b_dot_png=pictures[1], b_dot_txt="y")
    data = path.read_bytes()
    at = data.index(pictures[1]) + 50
    path.write_bytes(data[:at] + b"????" + data[at + 4 :])
    first, second = load_split(str(path))
    assert first.image.size == (64, 32)
    with pytest.raises(DataError, match=r"b\.png"):
        _ = second.image.size


@pytest.mark.parametrize("name", ["../a.txt", "/etc/a.txt", "..\\a.txt", "C:/a.txt"])
def test_a_path_that_leaves_the_archive_is_rejected(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(zipfile.ZipInfo(name), "x")
    with pytest.raises(DataError, match="leaves the archive"):
        load_split(str(tmp_path / "a.zip"))
    assert not (tmp_path / "a.txt").exists()


def test_a_bomb_is_rejected_from_its_directory(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "BOMB_BYTES", 1 << 16)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.txt", b"0" * (1 << 20))
    with pytest.raises(DataError, match="would unpack to 1 MiB, 200 times its size"):
        load_split(str(tmp_path / "a.zip"))
