"""Rows with every fault that validation finds."""

from PIL import ImageOps

from tests.unit.data.pictures import encoded, png
from tests.unit.data.validate.test_image_stats import formula
from texlens.data.geometry import ImageGeometry
from texlens.data.load import load_split
from texlens.data.validate.run import Options, Validation, validate

GEOMETRY = ImageGeometry(16, 2, 2, 1_024, 100_000)

OPTIONS = Options(GEOMETRY, special_tokens=("<|im_end|>",))

IMAGES = {
    "good": encoded(formula()),
    "again": encoded(formula().convert("RGB"), "BMP"),
    "no image": b"no",
    "cut": png(200, 100)[:900],
    "ribbon": png(805, 4),
    "inverted": encoded(ImageOps.invert(formula("y^3"))),
    "empty": png(seed=1),
    "unknown": png(seed=2),
    "copy": png(seed=2),
}

TEXTS = ["x ^ 2", "x^{2}", "a", "a ^ 1", "b ^ 2", "y ^ 3", " ", r"\nosuch", "c ^ 2"]


def inspect_rows(folder, **options) -> Validation:
    return validate({name: load_split(str(folder), split=name) for name in ("train", "test")}, OPTIONS, **options)


def kinds_of(validation: Validation) -> set[tuple[str, int, str]]:
    return {(finding.split, finding.row, finding.kind) for finding in validation.findings}


EXPECTED = {
    ("train", 1, "duplicate-row"),
    ("train", 2, "unreadable-image"),
    ("train", 3, "damaged-image"),
    ("train", 4, "aspect-ratio"),
    ("train", 4, "small-image"),
    ("train", 5, "inverted"),
    ("train", 6, "empty-answer"),
    ("train", 7, "latex-parse"),
    ("train", 7, "two-labels"),
    ("train", 8, "two-labels"),
    ("test", 0, "image-leak"),
    ("test", 0, "label-leak"),
    ("test", 2, "label-leak"),
}
