"""What an image's facts say against it, for one way of cutting images into tokens."""

import math
from collections.abc import Iterator

from texlens.data.geometry import ImageGeometry
from texlens.data.validate.image_stats import ImageFacts

SMALL_SIDE = 14
"""Pixels of the short side under which no formula can be read: a letter needs about 7, a script another 5."""
SCALED_DOWN = 1.5
"""Images scaled down by more than this, on a side, are told."""
UNUSUAL_MODES = frozenset({"CMYK", "YCbCr", "LAB", "HSV"})


def check_image(facts: ImageFacts, geometry: ImageGeometry) -> Iterator[tuple[str, str]]:
    """(kind, reason) of everything found."""
    if facts.problem:
        yield facts.problem, facts.reason
    if not facts.width or facts.problem in ("unreadable-image", "damaged-image"):
        return
    size = f"{facts.width}x{facts.height} pixels"
    long, short = max(facts.width, facts.height), min(facts.width, facts.height)
    if long > geometry.max_aspect * short:
        yield "aspect-ratio", f"{size}: the long side is over {geometry.max_aspect} times the short one"
    if short < SMALL_SIDE:
        yield "small-image", f"{size}: the short side is under {SMALL_SIDE}"
    shrunk = math.sqrt(facts.width * facts.height / geometry.max_pixels)
    if shrunk > SCALED_DOWN:
        yield "large-image", f"{size}: scaled down {shrunk:.1f} times to fit {geometry.max_pixels:,} pixels"
    if facts.inverted:
        yield "inverted", "light ink on a dark ground"
    if facts.orientation != 1:
        yield "exif-orientation", f"EXIF orientation {facts.orientation}, turned to {size}"
    if facts.transparency:
        yield "transparency", f"mode {facts.mode} with transparency, laid on white"
    elif facts.mode in UNUSUAL_MODES:
        yield "color-mode", f"mode {facts.mode}, converted to RGB"
