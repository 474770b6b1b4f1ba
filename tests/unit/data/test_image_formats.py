import pytest

from texlens.data import image_formats


def test_only_the_listed_formats_are_decoded():
    assert set(image_formats.allowed_formats()) - {"HEIF"} == set(image_formats.FORMATS)
    assert "EPS" not in image_formats.allowed_formats()


@pytest.mark.parametrize(("installed", "is_readable"), [(True, True), (False, False)])
def test_heic_is_read_where_its_package_is_installed(monkeypatch, installed, is_readable):
    monkeypatch.setattr(image_formats, "_has_heif", lambda: installed)
    assert (image_formats.unreadable_suffix(".HEIC") is None) == is_readable
    assert image_formats.unreadable_suffix(".png") is None
