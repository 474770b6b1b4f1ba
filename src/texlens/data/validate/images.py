"""Findings about one image under one image geometry."""

import math
from collections.abc import Iterator

from texlens.data.geometry import ImageGeometry
from texlens.data.validate.image_stats import ImageStats

SMALL_SIDE = 14
"""Pixels of the short side under which no formula can be read: a letter needs about 7, a script another 5."""
SCALED_DOWN = 1.5
"""Images scaled down by more than this factor per side are reported."""
UNUSUAL_MODES = frozenset({"CMYK", "YCbCr", "LAB", "HSV"})


def check_image(stats: ImageStats, geometry: ImageGeometry) -> Iterator[tuple[str, str]]:
    """(kind, reason) of everything found."""
    if stats.problem:
        yield stats.problem, stats.reason
    if not stats.width or stats.problem in ("unreadable-image", "damaged-image"):
        return
    size = f"{stats.width}x{stats.height} pixels"
    long, short = max(stats.width, stats.height), min(stats.width, stats.height)
    if long > geometry.max_aspect * short:
        yield "aspect-ratio", f"{size}: the long side is over {geometry.max_aspect} times the short one"
    if short < SMALL_SIDE:
        yield "small-image", f"{size}: the short side is under {SMALL_SIDE}"
    shrunk = math.sqrt(stats.width * stats.height / geometry.max_pixels)
    if shrunk > SCALED_DOWN:
        yield "large-image", f"{size}: scaled down {shrunk:.1f} times to fit {geometry.max_pixels:,} pixels"
    if stats.inverted:
        yield "inverted", "light ink on a dark ground"
    if stats.orientation != 1:
        yield "exif-orientation", f"EXIF orientation {stats.orientation}, turned to {size}"
    if stats.transparency:
        yield "transparency", f"mode {stats.mode} with transparency, laid on white"
    elif stats.mode in UNUSUAL_MODES:
        yield "color-mode", f"mode {stats.mode}, converted to RGB"
