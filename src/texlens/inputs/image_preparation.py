"""Brings an image toward what a model was trained on: dark ink on white paper, even light, glyphs of a usual height.

`prepare(image, preparation)` returns the same image where nothing is wrong. What "usual" means is a property of the
model (`Preparation`, kept in its metadata), because a model trained on photographs needs none of this.

H, W = height and width in pixels; gray levels are 0 (black) to 255 (white).
"""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from texlens.data.lazy_image import LazyImage

MAX_SIDE_PX = 2400
"""Larger images are halved until they fit before anything is measured: their glyphs shrink in any case."""
BACKGROUND_WINDOW = 1.5
"""Side of the window in which some paper is visible, in heights of the tallest glyph."""
MAX_UNEVEN = 18
"""Gray levels that the paper may vary (5th to 95th percentile) before shading is divided out."""
WHITE_POINT = 0.92
"""Of the paper's estimated level: what is lighter becomes white, since the estimate is off by some percent at edges."""
MIN_PAPER, MAX_INK = 235, 150
"""Paper darker, or ink lighter, than this is stretched to white and black."""
INK_QUANTILE = 0.1
"""Of the ink's pixels, this share is darker than the level taken as the ink's own (edges are gray)."""
LEAST_ENLARGEMENT = 1.2
"""A copy that is hardly larger is no second view."""
TALL_RATIO = 4.0
"""A component taller than this many median glyphs (a brace, a root, a picture's frame) has no say in the median."""


@dataclass(frozen=True)
class Preparation:
    """What images are brought toward.

    An image whose glyphs (their median) are higher than `max_glyph_px` is scaled so that they become
    `usual_glyph_px`; one whose glyphs are lower than `min_glyph_px`, so that they become `enlarged_glyph_px` (None: the
    usual height too). One that is read doubtfully without preparation is read again with glyphs of `second_glyph_px`
    (None: once only), where that is at least `LEAST_ENLARGEMENT` times theirs. Margins wider than `max_margin` glyph
    heights are cut to `margin` of them.
    """

    usual_glyph_px: float = 10.0
    min_glyph_px: float = 4.0
    max_glyph_px: float = 15.0
    enlarged_glyph_px: float | None = None
    second_glyph_px: float | None = None
    max_margin: float = 4.0
    margin: float = 1.0


KEEP_SIZE = Preparation(min_glyph_px=0.0, max_glyph_px=1e6)
"""For a model whose metadata says nothing: its glyphs may have any height."""


@dataclass(frozen=True)
class PreparedImage:
    """The image to read, and the names of the steps that changed it (none: it is the original)."""

    image: Image.Image
    steps: tuple[str, ...]


def prepare(image: Image.Image, preparation: Preparation) -> PreparedImage:
    """The RGB image prepared; the original object where no step applies.

    Example:
        white ink on a black screenshot, twice the usual size -> steps ("inverted", "scaled")
    """
    steps: list[str] = []
    gray_HW, halved = _gray(image)
    if halved:
        steps.append("scaled")
    if _has_light_ink(gray_HW):
        gray_HW = 255.0 - gray_HW
        steps.append("inverted")
    gray_HW, changed = _even(gray_HW)
    steps += ["background"] if changed else []
    gray_HW, changed = _stretched(gray_HW)
    steps += ["contrast"] if changed else []
    ink_HW = _ink(gray_HW)
    height = glyph_height(ink_HW)
    if height is None:
        return PreparedImage(image, ())
    gray_HW, changed = _trimmed(gray_HW, ink_HW, height, preparation)
    steps += ["margins"] if changed else []
    gray_HW, changed = _scaled(gray_HW, height, preparation)
    steps += ["scaled"] if changed and "scaled" not in steps else []
    if not steps:
        return PreparedImage(image, ())
    return PreparedImage(Image.fromarray(gray_HW.round().clip(0, 255).astype(np.uint8)).convert("RGB"), tuple(steps))


def prepared_file(image: LazyImage, preparation: Preparation) -> tuple[bytes, tuple[str, ...]]:
    """The prepared image as PNG, or the file as it is where no step applies; and the steps.

    Raises:
        DataError: the image can't be decoded.
    """
    result = prepare(image.load(), preparation)
    return (png_of(result.image), result.steps) if result.steps else (image.encoded(), ())


def png_of(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def enlargement(image: Image.Image, preparation: Preparation) -> float | None:
    """How many times larger the second view of an RGB image is; None where its glyphs are about as high as they would
    be there, or there are none."""
    if not preparation.second_glyph_px:
        return None
    height = glyph_height(_ink(_gray(image)[0]))
    if not height or preparation.second_glyph_px < LEAST_ENLARGEMENT * height:
        return None
    return preparation.second_glyph_px / height


def enlarged(image: Image.Image, preparation: Preparation) -> Image.Image | None:
    """The RGB image with glyphs of `second_glyph_px`; None where there is no `enlargement`."""
    factor = enlargement(image, preparation)
    if factor is None:
        return None
    return Image.fromarray(_resized(_gray(image)[0], factor).astype(np.uint8)).convert("RGB")


def glyph_height(ink_HW: np.ndarray) -> float | None:
    """Median height in pixels of the connected parts of the ink, without bars and specks; None without any.

    Each part counts by its height, so that dots and commas matter little.

    Example:
        the ink of "a + b" at 13.84 pixels an em -> about 8
    """
    labels, count = ndimage.label(ink_HW, structure=np.ones((3, 3)))
    if not count:
        return None
    boxes = [(rows.stop - rows.start, columns.stop - columns.start) for rows, columns in ndimage.find_objects(labels)]
    heights = np.array([height for height, width in boxes if height > 2 and height > 0.3 * width], float)
    if not len(heights):
        heights = np.array([height for height, _ in boxes], float)
    usual = np.sort(heights[heights <= TALL_RATIO * np.median(heights)])
    return float(usual[np.searchsorted(np.cumsum(usual), usual.sum() / 2)])


def _gray(image: Image.Image) -> tuple[np.ndarray, bool]:
    """Levels as float, of an image that was halved until it has at most `MAX_SIDE_PX` a side; and whether it was."""
    gray, halved = image.convert("L"), False
    while max(gray.size) > MAX_SIDE_PX:
        gray, halved = gray.reduce(2), True
    return np.asarray(gray, np.float64), halved


def _has_light_ink(gray_HW: np.ndarray) -> bool:
    """Whether what differs from its surroundings is lighter than they are."""
    difference_HW = gray_HW - ndimage.uniform_filter(gray_HW, size=min(61, *gray_HW.shape), mode="nearest")
    paper = np.median(gray_HW)
    lighter, darker = difference_HW[difference_HW > 12].sum(), -difference_HW[difference_HW < -12].sum()
    if paper < 96 or paper > 160:
        return bool(paper < 96 and lighter > 0.5 * darker)
    return bool(lighter > darker)


def _even(gray_HW: np.ndarray) -> tuple[np.ndarray, bool]:
    """Shading divided out, where the paper's level varies."""
    paper_HW = _paper(gray_HW)
    low, high = np.percentile(paper_HW, [5, 95])
    if high - low <= MAX_UNEVEN:
        return gray_HW, False
    return (gray_HW / np.maximum(WHITE_POINT * paper_HW, 1.0) * 255.0).clip(0, 255), True


def _paper(gray_HW: np.ndarray) -> np.ndarray:
    """The paper's level at each pixel: the lightest around, smoothed."""
    height = glyph_height(_ink(_rough_even(gray_HW))) or 12.0
    window = int(np.clip(BACKGROUND_WINDOW * TALL_RATIO * height / 2, 15, max(15, min(gray_HW.shape))))
    closed_HW = ndimage.grey_closing(ndimage.gaussian_filter(gray_HW, 1.0), size=(window, window), mode="nearest")
    return ndimage.gaussian_filter(closed_HW, window / 2, mode="nearest")


def _rough_even(gray_HW: np.ndarray) -> np.ndarray:
    return gray_HW - ndimage.uniform_filter(gray_HW, size=min(41, *gray_HW.shape), mode="nearest") + 128.0


def _stretched(gray_HW: np.ndarray) -> tuple[np.ndarray, bool]:
    """Paper to white and ink to black, where either is gray."""
    paper = float(np.median(gray_HW))
    ink_HW = _ink(gray_HW)
    if not ink_HW.any():
        return gray_HW, False
    ink = float(np.quantile(gray_HW[ink_HW], INK_QUANTILE))
    if paper - ink < 12 or (paper >= MIN_PAPER and ink <= MAX_INK):
        return gray_HW, False
    return ((gray_HW - ink) / (paper - ink) * 255.0).clip(0, 255), True


def _ink(gray_HW: np.ndarray) -> np.ndarray:
    """Pixels darker than Otsu's threshold (Otsu 1979): the cut that separates two groups of levels best."""
    counts, edges = np.histogram(gray_HW, bins=64)
    levels = (edges[:-1] + edges[1:]) / 2
    below, above = np.cumsum(counts), counts.sum() - np.cumsum(counts)
    sums = np.cumsum(counts * levels)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    between = np.nan_to_num(between)
    best = np.flatnonzero(between >= between.max() * 0.9999)
    return gray_HW < edges[1 + int(best.mean())]


def _trimmed(
    gray_HW: np.ndarray, ink_HW: np.ndarray, height: float, preparation: Preparation
) -> tuple[np.ndarray, bool]:
    """Margins cut on every side where one is much wider than a formula needs; specks don't count as ink."""
    solid_HW = ndimage.binary_opening(ink_HW, np.ones((2, 2))) if height > 12 else ink_HW
    rows, columns = np.flatnonzero(solid_HW.any(axis=1)), np.flatnonzero(solid_HW.any(axis=0))
    if not len(rows):
        return gray_HW, False
    margins = rows[0], gray_HW.shape[0] - 1 - rows[-1], columns[0], gray_HW.shape[1] - 1 - columns[-1]
    if max(margins) <= preparation.max_margin * height:
        return gray_HW, False
    keep = max(4, round(preparation.margin * height))
    top, left = max(0, rows[0] - keep), max(0, columns[0] - keep)
    return gray_HW[top : rows[-1] + keep + 1, left : columns[-1] + keep + 1], True


def _scaled(gray_HW: np.ndarray, height: float, preparation: Preparation) -> tuple[np.ndarray, bool]:
    """The image with glyphs of the height that they should have, where theirs is far from it."""
    if preparation.min_glyph_px <= height <= preparation.max_glyph_px:
        return gray_HW, False
    is_low = height < preparation.min_glyph_px
    usual = preparation.enlarged_glyph_px if is_low else None
    factor = (usual or preparation.usual_glyph_px) / height
    return _resized(gray_HW, factor), True


def _resized(gray_HW: np.ndarray, factor: float) -> np.ndarray:
    size = max(1, round(gray_HW.shape[1] * factor)), max(1, round(gray_HW.shape[0] * factor))
    picture = Image.fromarray(gray_HW.round().clip(0, 255).astype(np.uint8))
    return np.asarray(picture.resize(size, Image.Resampling.LANCZOS), np.float64)
