import pytest

from tests.unit.data.validate.rows import GEOMETRY
from texlens.data.validate.image_stats import ImageStats
from texlens.data.validate.images import check_image


@pytest.mark.parametrize(
    ("stats", "kinds"),
    [
        (ImageStats(200, 50, "L", "PNG"), []),
        (ImageStats(4020, 20, "L", "PNG"), ["aspect-ratio"]),
        (ImageStats(200, 13, "L", "PNG"), ["small-image"]),
        (ImageStats(500, 500, "L", "PNG"), ["large-image"]),
        (ImageStats(400, 400, "L", "PNG"), []),
        (ImageStats(200, 50, "L", "PNG", inverted=True), ["inverted"]),
        (ImageStats(200, 50, "RGB", "JPEG", orientation=6), ["exif-orientation"]),
        (ImageStats(200, 50, "RGBA", "PNG", transparency=True), ["transparency"]),
        (ImageStats(200, 50, "CMYK", "JPEG"), ["color-mode"]),
        (ImageStats(problem="unreadable-image", reason="no"), ["unreadable-image"]),
        (ImageStats(4020, 20, "L", "PNG", problem="damaged-image", reason="cut"), ["damaged-image"]),
        (ImageStats(4020, 20, "L", "PNG", problem="blank-image", reason="white"), ["blank-image", "aspect-ratio"]),
    ],
)
def test_each_fault_has_its_kind(stats, kinds):
    assert [kind for kind, _ in check_image(stats, GEOMETRY)] == kinds


def test_a_reason_names_size_and_limit():
    assert dict(check_image(ImageStats(4020, 20, "L", "PNG"), GEOMETRY)) == {
        "aspect-ratio": "4020x20 pixels: the long side is over 200 times the short one"
    }
