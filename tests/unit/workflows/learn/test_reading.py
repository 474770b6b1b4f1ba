"""Readings of both views, kept image by image."""

import io

import pytest
from PIL import Image, ImageOps

from tests.fixtures.drawn_images import drawn
from texlens.core.errors import DataError
from texlens.workflows.learn.images import find_images
from texlens.workflows.learn.reading import ImageReading, ReadingFile, read_images


@pytest.fixture
def images(photos):
    return list(find_images(photos).by_key.values())


def test_each_image_is_read_once_and_kept(images, reader, tmp_path):
    file = ReadingFile(tmp_path / "readings", "fake")
    model = reader({"1.png": (r"\frac{a}{b}", -0.5)})
    readings = read_images(images, file, lambda: model, batch_size=5)
    texts = {image.name: readings[image.key].text for image in images}
    assert texts["1.png"] == r"\frac{a}{b}"
    assert file.read() == readings
    assert read_images(images, file, lambda: pytest.fail("opened again")) == readings


def test_a_killed_reading_goes_on_with_the_images_that_lack(images, reader, tmp_path):
    file = ReadingFile(tmp_path / "readings", "fake")
    read_images(images[:7], file, lambda: reader())
    file.path.write_bytes(file.path.read_bytes() + b'{"image": "cut')
    model = reader()
    read_images(images, file, lambda: model)
    assert set(model.backend.reads) == {image.name for image in images[7:]}
    assert len(file.read()) == 12


def test_a_damaged_line_is_named(images, reader, tmp_path):
    file = ReadingFile(tmp_path / "readings", "fake")
    read_images(images, file, lambda: reader())
    file.path.write_text("[]\n" + file.path.read_text())
    with pytest.raises(DataError, match=r"fake\.jsonl line 1: not a reading"):
        file.read()


def test_an_image_that_needs_preparation_is_read_in_both_views(photos, reader, tmp_path):
    dark = ImageOps.invert(Image.open(io.BytesIO(drawn(120, 40))).convert("RGB"))
    dark.save(photos / "dark.png")
    (photos / "fine.png").write_bytes(b"")
    images = [image for image in find_images(photos).by_key.values() if image.name == "dark.png"]
    model = reader()
    readings = read_images(images, ReadingFile(tmp_path, "fake"), lambda: model)
    assert model.backend.reads == ["dark.png", "dark.png"]
    assert readings[images[0].key].other_view == "x"


def test_a_failed_reading_says_why(images, reader, tmp_path):
    file = ReadingFile(tmp_path, "fake")
    readings = read_images(images, file, lambda: reader({"1.png": (None, None)}))
    failed = next(readings[image.key] for image in images if image.name == "1.png")
    assert (failed.text, failed.error, failed.stop) == ("", "no image", "failed")
    assert file.read() == readings


@pytest.mark.parametrize("other_view", ["", "x", None])
def test_a_reading_without_text_is_kept(tmp_path, other_view):
    reading = ImageReading("key", "", log_probability=-0.1, tokens=1, other_view=other_view)
    ReadingFile(tmp_path, "fake").append([reading])
    assert ReadingFile(tmp_path, "fake").read() == {"key": reading}
