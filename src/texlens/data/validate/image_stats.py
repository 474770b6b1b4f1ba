"""What is to be known of one image, from one look at its bytes; it holds wherever the same bytes stand.

The look of an image is 512 bits: its ink cut out of the margins, averaged over 64 x 8 cells, each a 1 where it is
darker than the mean. Padding and format change none of them, JPEG few (quality 60: median 4, 90% up to 14), another
formula hundreds: of 17 million pairs of different formulas in LaTeX_OCR, im2latex and CROHME, 2 differed in under 32.
"""

import hashlib
from typing import NamedTuple

import numpy as np
from PIL import Image

from texlens.core.errors import DataError
from texlens.data.sample import LazyImage

VERSION = 1
"""To be raised whenever a fact is found otherwise; older entries of the cache are then useless."""
HASH_SIZE = (64, 8)
EXAMINED_SIDE = 768
"""Light and ink are judged on a copy no larger than this."""
INK_CONTRAST = 64
"""A pixel this far from the background is ink."""
BLANK_BELOW = 16
"""An image whose lightest and darkest pixel are nearer than this shows nothing."""
DARK = 96
DARK_SHARE = 0.6
GRAY_SPREAD = 40
"""Channels that differ by less are gray: a dark photograph is no inverted formula."""


class ImageStats(NamedTuple):
    """Sizes as shown. `problem` is a kind of finding with its `reason`, and then only the header's values are known.

    `pixels` is a hash of the decoded picture, `look` its perceptual bits (empty for a blank one). `ink_height` is the
    height of the ink's box.
    """

    width: int = 0
    height: int = 0
    mode: str = ""
    format: str = ""
    orientation: int = 1
    transparency: bool = False
    inverted: bool = False
    ink_height: int = 0
    pixels: bytes = b""
    perceptual_hash: bytes = b""
    problem: str = ""
    reason: str = ""


def image_stats(image: LazyImage) -> ImageStats:
    """Decodes the image; a fault is reported in `problem`, never raised."""
    kind, known = "unreadable-image", ImageStats()
    try:
        header = image.header
        known = ImageStats(
            header.width, header.height, header.mode, header.format, header.orientation, header.transparency
        )
        kind = "damaged-image"
        picture = image.load()
    except DataError as error:
        reason = str(error).removeprefix(f"{image.where}: ").split("; ")[0]
        return known._replace(problem=kind, reason=reason)
    return known._replace(pixels=pixel_hash(picture), **_measure(picture))


def pixel_hash(picture: Image.Image) -> bytes:
    """Equal for pictures of the same size and colors, however they are stored."""
    digest = hashlib.blake2b(f"{picture.width}x{picture.height}".encode(), digest_size=16)
    digest.update(np.asarray(picture).data)
    return digest.digest()


def _measure(picture: Image.Image) -> dict:
    examined = picture
    if max(picture.size) > EXAMINED_SIDE:
        examined = picture.copy()
        examined.thumbnail((EXAMINED_SIDE, EXAMINED_SIDE), Image.Resampling.BOX)
    scale = picture.height / examined.height
    gray = examined.convert("L")
    levels = np.asarray(gray)
    low, high = int(levels.min()), int(levels.max())
    if high - low < BLANK_BELOW:
        return {"problem": "blank-image", "reason": f"blank: every pixel lies between {low} and {high} of 255"}
    paper = _background(levels)
    inked = gray.point([255 if abs(level - paper) > INK_CONTRAST else 0 for level in range(256)])
    box = inked.getbbox() or (0, 0, *gray.size)
    return {
        "inverted": paper < DARK and _mostly_dark(gray) and _is_gray(examined),
        "ink_height": round((box[3] - box[1]) * scale),
        "perceptual_hash": _perceptual_hash(gray.crop(box), paper),
    }


def _background(levels: np.ndarray) -> int:
    """The background: the median level along the edges."""
    edges = np.concatenate([levels[0], levels[-1], levels[:, 0], levels[:, -1]])
    return int(np.partition(edges, len(edges) // 2)[len(edges) // 2])


def _mostly_dark(gray: Image.Image) -> bool:
    return sum(gray.histogram()[:DARK]) >= DARK_SHARE * gray.width * gray.height


def _is_gray(picture: Image.Image) -> bool:
    small = np.asarray(picture.resize((16, 16), Image.Resampling.BOX)).astype(np.int16)
    return int((small.max(2) - small.min(2)).max()) < GRAY_SPREAD


def _perceptual_hash(ink: Image.Image, paper: int) -> bytes:
    cells = np.abs(np.asarray(ink.resize(HASH_SIZE, Image.Resampling.BOX)).astype(np.int16) - paper)
    return np.packbits(cells > cells.mean()).tobytes()
