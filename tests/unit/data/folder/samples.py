"""Samples that several tests write."""

from tests.unit.data.pictures import png
from texlens.data.sample import LazyImage, Sample, Turn

A, B = png(8, 8, 1), png(8, 8, 2)


def image(data: bytes, name: str | None = None) -> LazyImage:
    return LazyImage(lambda: data, "here", read_name=lambda: name)


def plain(sample: Sample) -> dict:
    """Everything of a sample as values that can be compared."""
    fields = {name: value for name, value in vars(sample).items() if name not in ("image", "more_images")}
    return fields | {"images": [(image.encoded(), image.name) for image in sample.images]}


RICH = Sample(
    "r",
    image(A, "a.png"),
    "x",
    prompt="And <image>?",
    system="Be short",
    domain="print",
    extra={"level": 3, "weight": 0.5, "made": {"seed": [1, 2]}, "text": "a name that is taken", "good": True},
    more_images=(image(B, "b.png"),),
    history=(Turn("user", "What is <image>?"), Turn("assistant", "y")),
    more_answers=("z",),
)


def rows(count: int) -> list[Sample]:
    return [Sample(str(number), image(png(8, 8, number)), f"x_{number}") for number in range(count)]
