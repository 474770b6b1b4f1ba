import io

import pytest
from PIL import Image

from tests.unit.data.pictures import encoded, noise, png
from texlens.core.errors import DataError
from texlens.data.lazy_image import ORIENTATION, LazyImage
from texlens.data.sample import RejectedRow, Sample


def test_the_size_is_read_without_decoding_so_a_truncated_image_still_has_one():
    image = LazyImage.from_bytes(png(300, 200)[:500], "row 3")
    assert image.size == (300, 200)
    with pytest.raises(DataError, match="row 3: the image is damaged"):
        image.load()


def test_a_header_is_read_from_a_file_without_the_rest_of_it(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png(30, 20))
    image = LazyImage(lambda: pytest.fail("the whole file was read"), "a.png", path)
    assert image.size == (30, 20)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_size_and_pixels_are_upright_by_exif(orientation, format):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    image = LazyImage.from_bytes(encoded(noise(30, 20), format, exif=exif))
    assert image.size == ((20, 30) if orientation >= 5 else (30, 20))
    assert image.load().size == image.size


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_a_picture_taken_sideways_is_turned(format):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    lying = Image.new("RGB", (2, 1), "white")
    lying.putpixel((0, 0), (0, 0, 0))
    upright = LazyImage.from_bytes(encoded(lying, format, exif=exif)).load()
    assert [upright.getpixel((0, 0)), upright.getpixel((0, 1))] == [(0, 0, 0), (255, 255, 255)]


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "RGB"])
def test_every_common_mode_becomes_rgb(mode):
    image = noise(9, 7).convert(mode)
    data = encoded(image, "TIFF" if mode == "CMYK" else "PNG")
    assert LazyImage.from_bytes(data).load().mode == "RGB"


def test_transparency_lies_on_white():
    clear = Image.new("RGBA", (2, 2), (0, 0, 0, 0))
    assert LazyImage.from_bytes(encoded(clear)).load().getpixel((0, 0)) == (255, 255, 255)
    gray = encoded(Image.new("L", (2, 2), 0), transparency=0)
    assert LazyImage.from_bytes(gray).load().getpixel((0, 0)) == (255, 255, 255)


def test_what_is_no_image_is_rejected_by_name():
    with pytest.raises(DataError, match=r"train.parquet row 2: not a readable image .*; replace or remove it"):
        LazyImage.from_bytes(b"hello", "train.parquet row 2").size  # noqa: B018


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone.png: no such file"):
        LazyImage.from_file(tmp_path / "gone.png").size  # noqa: B018


def test_sixteen_bits_a_channel_are_rejected_from_the_header():
    file = io.BytesIO()
    Image.new("I;16", (4, 4)).save(file, "PNG")
    with pytest.raises(DataError, match="8 bits a channel"):
        LazyImage.from_bytes(file.getvalue()).size  # noqa: B018


def test_a_bomb_is_rejected_from_the_header():
    header = bytearray(png(4, 4))
    header[16:24] = (40_000).to_bytes(4, "big") * 2
    import zlib

    header[29:33] = zlib.crc32(header[12:29]).to_bytes(4, "big")
    with pytest.raises(DataError, match="over the limit of 120,000,000"):
        LazyImage.from_bytes(bytes(header)).size  # noqa: B018


def test_a_refusal_says_its_place_once():
    sample = Sample("7", LazyImage.from_bytes(b"x", "rows.jsonl line 8"), "x")
    rejected_row = RejectedRow.from_error(sample, DataError("rows.jsonl line 8: not an image"), "image")
    assert str(rejected_row) == "rows.jsonl line 8: not an image"
