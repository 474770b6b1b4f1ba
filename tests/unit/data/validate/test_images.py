import pytest

from texlens.data.geometry import ImageGeometry
from texlens.data.validate.image_stats import ImageFacts
from texlens.data.validate.images import check_image

GEOMETRY = ImageGeometry(16, 2, 2, 1_024, 100_000)


@pytest.mark.parametrize(
    ("facts", "kinds"),
    [
        (ImageFacts(200, 50, "L", "PNG"), []),
        (ImageFacts(4020, 20, "L", "PNG"), ["aspect-ratio"]),
        (ImageFacts(200, 13, "L", "PNG"), ["small-image"]),
        (ImageFacts(500, 500, "L", "PNG"), ["large-image"]),
        (ImageFacts(400, 400, "L", "PNG"), []),
        (ImageFacts(200, 50, "L", "PNG", inverted=True), ["inverted"]),
        (ImageFacts(200, 50, "RGB", "JPEG", orientation=6), ["exif-orientation"]),
        (ImageFacts(200, 50, "RGBA", "PNG", transparency=True), ["transparency"]),
        (ImageFacts(200, 50, "CMYK", "JPEG"), ["color-mode"]),
        (ImageFacts(problem="unreadable-image", reason="no"), ["unreadable-image"]),
        (ImageFacts(4020, 20, "L", "PNG", problem="damaged-image", reason="cut"), ["damaged-image"]),
        (ImageFacts(4020, 20, "L", "PNG", problem="blank-image", reason="white"), ["blank-image", "aspect-ratio"]),
    ],
)
def test_each_fault_has_its_kind(facts, kinds):
    assert [kind for kind, _ in check_image(facts, GEOMETRY)] == kinds


def test_a_reason_names_size_and_limit():
    assert dict(check_image(ImageFacts(4020, 20, "L", "PNG"), GEOMETRY)) == {
        "aspect-ratio": "4020x20 pixels: the long side is over 200 times the short one"
    }
