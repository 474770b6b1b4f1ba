"""Which pixel budget a data set needs: tokens, scaling and distortion of every image, from headers alone.

The budget that is recommended:

* `min_pixels` is the smallest at which the shortest images are tall enough to read and shapes stay what they are.
  Tall enough: the 5th percentile of heights after scaling is at least `LINE_PIXELS`. From a header the text's own
  height is not known; but the shortest images hold one line, and there a capital letter takes about a third of the
  height (12 of 40 pixels in LaTeX_OCR). 64 pixels make that letter 20 high, as small letters of 10 pt are at 300 dpi,
  the resolution that Tesseract's documentation asks for; and they are two rows of tokens.
  Shapes: sides are rounded to whole tokens, which bends small images most; 95% of images keep their aspect ratio
  within `MAX_DISTORTION`, or as well as under the family's own floor where that does worse.
* `max_pixels` is the smallest that scales no more than one image in a hundred down, within the family's own and within
  the context less its texts.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from texlens.core.errors import ConfigError, DataError
from texlens.data.geometry import ImageGeometry
from texlens.data.load import Rows
from texlens.data.token_estimates import text_token_estimate

LINE_PIXELS = 64
MAX_DISTORTION = 0.25
HEIGHT_PERCENTILE = 5
"""The percentile of heights that must be tall enough."""
SCALED_DOWN_SHARE = 0.01
PERCENTILES = (5, 50, 95, 100)
BINS = 24

Size = tuple[int, int]


@dataclass(frozen=True)
class Sizes:
    """Width, height and text tokens (estimated) of each row's images; rows of several count them together.

    `unreadable` rows are in none of these.
    """

    images: Sequence[tuple[Size, ...]]
    text_tokens: Sequence[int]
    unreadable: int = 0


@dataclass(frozen=True)
class Spread:
    """Percentiles and a histogram: `counts` between neighbors of `edges`."""

    low: float
    middle: float
    high: float
    largest: float
    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class BudgetPlan:
    """What one budget does to a data set.

    `tokens` an image; `scale` is new side / old side; `distortion` is how far the aspect ratio changes, 0.1 is 10%;
    `context_share` is of image and text tokens of a row; `heights` after scaling. `rejected` images are over the
    aspect limit; `over_context` rows don't fit. Images of less than `min_pixels` count as `scaled_up`, of more than
    `max_pixels` as `scaled_down`; what rounding to whole tokens does to the others shows in `scale`.
    """

    min_pixels: int
    max_pixels: int
    images: int
    image_tokens: int
    tokens: Spread
    scale: Spread
    distortion: Spread
    heights: Spread
    context_share: Spread
    scaled_up: int
    scaled_down: int
    over_context: int
    rejected: int


@dataclass(frozen=True)
class Recommendation:
    """A budget, what it does, and why it was chosen."""

    plan: BudgetPlan
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class ResolutionPlan:
    """The budget asked for beside the one recommended. `rows` could be read, `unreadable` could not."""

    rows: int
    unreadable: int
    context: int
    current: BudgetPlan
    recommended: Recommendation

    def to_json(self) -> dict:
        return asdict(self)


def read_sizes(rows: Iterable[Rows], *, prompt: str = "", on_progress: Callable[[int], None] | None = None) -> Sizes:
    """Headers and texts of all rows; no pixel is decoded."""
    images: list[tuple[Size, ...]] = []
    tokens: list[int] = []
    unreadable = 0
    for part in rows:
        unreadable += len(part.rejected)
        for sample in part:
            try:
                sizes = tuple(image.size for image in sample.images)
            except (DataError, OSError):
                unreadable += 1
            else:
                images.append(sizes)
                tokens.append(text_token_estimate(sample, prompt, None))
            if on_progress is not None:
                on_progress(1)
    return Sizes(images, tokens, unreadable)


def plan_resolution(
    sizes: Sizes, geometry: ImageGeometry, *, context: int, line_pixels: int = LINE_PIXELS
) -> ResolutionPlan:
    """
    Raises:
        DataError: no image can be read.
        ConfigError: the texts alone fill the context.
    """
    if not sizes.images:
        raise DataError("no image can be read; `texlens data validate` says why")
    current = plan_budget(sizes, geometry, context)
    return ResolutionPlan(
        len(sizes.images), sizes.unreadable, context, current, recommend(sizes, geometry, context, line_pixels)
    )


def plan_budget(sizes: Sizes, geometry: ImageGeometry, context: int) -> BudgetPlan:
    """What the geometry's budget does to each image."""
    counts = Counter(size for images in sizes.images for size in images)
    resized = {size: _resized(geometry, size) for size in counts}
    tokens = {size: _tokens(geometry, new) for size, new in resized.items()}
    counted = [(size, new, count) for size, count in counts.items() if (new := resized[size]) is not None]
    old = np.array([size for size, _, _ in counted] or [(1, 1)])
    new = np.array([size for _, size, _ in counted] or [(1, 1)])
    weights = np.array([count for _, _, count in counted] or [0])
    scale = np.sqrt(new.prod(1) / old.prod(1))
    aspect = (new[:, 0] / new[:, 1]) / (old[:, 0] / old[:, 1])
    of_rows = np.array([sum(tokens[size] for size in images) for images in sizes.images]) + np.array(sizes.text_tokens)
    per_image = np.array([tokens[size] for size, _, _ in counted] or [0])
    return BudgetPlan(
        geometry.min_pixels,
        geometry.max_pixels,
        int(weights.sum()),
        int((per_image * weights).sum()),
        _spread(per_image, weights),
        _spread(scale, weights),
        _spread(np.maximum(aspect, 1 / aspect) - 1, weights),
        _spread(new[:, 1], weights),
        _spread(of_rows / context, np.ones(len(of_rows), int)),
        int(weights[old.prod(1) < geometry.min_pixels].sum()),
        int(weights[old.prod(1) > geometry.max_pixels].sum()),
        int((of_rows > context).sum()),
        sum(counts[size] for size, new in resized.items() if new is None),
    )


def recommend(sizes: Sizes, geometry: ImageGeometry, context: int, line_pixels: int = LINE_PIXELS) -> Recommendation:
    """The budget by the rules at the head of this file."""
    low, high = _lowest(sizes, geometry, line_pixels), _highest(sizes, geometry, context)
    floor = min(low, high)
    ceiling = max(floor, _ceiling(sizes, replace(geometry, min_pixels=floor, max_pixels=high), high))
    plan = plan_budget(sizes, replace(geometry, min_pixels=floor, max_pixels=ceiling), context)
    factor = geometry.factor
    pixels = "" if plan.heights.low >= line_pixels else f", under the {line_pixels} wanted"
    return Recommendation(
        plan,
        (
            f"min_pixels {floor:,} ({floor // factor**2} tokens): the shortest {HEIGHT_PERCENTILE}% of images become "
            f"{plan.heights.low:.0f} pixels high{pixels}, "
            f"95% keep their aspect ratio within {plan.distortion.high:.0%}",
            f"max_pixels {ceiling:,} ({ceiling // factor**2} tokens): "
            f"{plan.scaled_down:,} of {plan.images:,} images are scaled down",
        ),
    )


def _lowest(sizes: Sizes, geometry: ImageGeometry, line_pixels: int) -> int:
    """Floors grow by a quarter from four tokens on; the first at which images are tall enough and keep their shape."""
    family_distortion = plan_budget(sizes, geometry, 1).distortion.high
    tokens = 4
    while tokens * geometry.factor**2 < geometry.max_pixels:
        pixels = tokens * geometry.factor**2
        tried = plan_budget(sizes, replace(geometry, min_pixels=pixels), 1)
        if tried.heights.low >= line_pixels and tried.distortion.high <= max(MAX_DISTORTION, family_distortion):
            return pixels
        tokens = -(-tokens * 5 // 4)
    return geometry.max_pixels


def _highest(sizes: Sizes, geometry: ImageGeometry, context: int) -> int:
    """What the family and the context, less all but the longest hundredth of the texts, have room for."""
    tokens_left = context - int(np.percentile(sizes.text_tokens, 99))
    maximum = max(len(images) for images in sizes.images)
    if tokens_left < maximum:
        raise ConfigError(f"a context of {context:,} tokens is filled by the texts alone; raise --context")
    return min(geometry.max_pixels, tokens_left // maximum * geometry.factor**2)


def _ceiling(sizes: Sizes, geometry: ImageGeometry, maximum: int) -> int:
    counts = Counter(size for images in sizes.images for size in images)
    grown = {size: new[0] * new[1] for size in counts if (new := _resized(replace(geometry, max_pixels=maximum), size))}
    if not grown:
        return maximum
    pixels = _percentile(
        np.array(list(grown.values())), np.array([counts[size] for size in grown]), 100 * (1 - SCALED_DOWN_SHARE)
    )
    return min(maximum, int(pixels))


def _resized(geometry: ImageGeometry, size: Size) -> Size | None:
    try:
        return geometry.resized(*size)
    except DataError:
        return None


def _tokens(geometry: ImageGeometry, new: Size | None) -> int:
    return new[0] * new[1] // geometry.factor**2 if new else 0


def _spread(values: np.ndarray, weights: np.ndarray) -> Spread:
    low, middle, high, largest = (float(_percentile(values, weights, q)) for q in PERCENTILES)
    counts, edges = np.histogram(values, bins=BINS, weights=weights)
    return Spread(low, middle, high, largest, tuple(edges.tolist()), tuple(int(count) for count in counts))


def _percentile(values: np.ndarray, weights: np.ndarray, percent: float) -> float:
    """The smallest value that so many percent of the weight do not exceed."""
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    index = np.searchsorted(reached, percent / 100 * reached[-1] - 1e-9)
    return values[order][min(index, len(values) - 1)]
