"""The bundled model, read by both backends."""

from texlens.data.sample import LazyImage, Sample

FORMULAS = (
    r"\frac { a } { b } + \sqrt { y _ { 1 } }",
    r"\sum _ { i = 1 } ^ { n } x _ { i } \leq \operatorname { s i n } z",
    "2",
)


def samples_of(images) -> list[Sample]:
    return [Sample(str(row), LazyImage.from_bytes(image), "") for row, image in enumerate(images)]
