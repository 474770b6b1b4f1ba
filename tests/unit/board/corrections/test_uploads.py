"""Pictures that are uploaded."""

import pytest

from tests.unit.data.pictures import png
from texlens.board.corrections.uploads import folder_name, safe_name, save_picture
from texlens.core.errors import ConfigError, DataError


def test_a_picture_is_kept_byte_by_byte(tmp_path):
    data = png(40, 20)
    assert save_picture(tmp_path / "new", "a b.png", data) == "a_b.png"
    assert (tmp_path / "new" / "a_b.png").read_bytes() == data


def test_the_same_picture_is_kept_once_and_another_one_gets_a_name_of_its_own(tmp_path):
    names = [save_picture(tmp_path, "a.png", png(40, 20, seed)) for seed in (0, 1, 0)]
    assert names == ["a.png", "a-2.png", "a.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-2.png", "a.png"]


@pytest.mark.parametrize("data", [b"", b"<svg/>", png(40, 20)[:60]])
def test_what_is_no_picture_is_refused_and_nothing_is_left(tmp_path, data):
    with pytest.raises(DataError):
        save_picture(tmp_path / "new", "a.png", data)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd", "passwd.png"),
        ("..\\..\\a.PNG", "a.PNG"),
        ("<img src=x onerror=alert(1)>.png", "_img_src_x_onerror_alert_1_.png"),
        (".hidden.png", "hidden.png"),
        ("a.svg", "a.svg.png"),
        ("", "picture.png"),
        ("公式.jpg", "公式.jpg"),
    ],
)
def test_names_are_made_safe(name, safe):
    assert safe_name(name) == safe


def test_a_folder_needs_a_name():
    assert folder_name("my photos/../x") == "my_photos_.._x"
    with pytest.raises(ConfigError, match="not a name for a folder"):
        folder_name("../..")
