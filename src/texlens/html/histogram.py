"""Histograms as inline SVG; colors come from the page's style sheet."""

from collections.abc import Sequence
from html import escape

import numpy as np
from markupsafe import Markup

WIDTH, HEIGHT = 300, 130
LEFT, RIGHT, TOP, BOTTOM = 8, 8, 10, 24
BINS = 32
TAIL = 99.5
"""Values above this percentile are drawn in the last bar, so that one freak does not flatten the rest."""


def histogram(values: Sequence[float], unit: str, *, style: str = "s1") -> Markup:
    """Bars of values, each with its range and count as a tip; empty where there is no value."""
    if not len(values):
        return Markup("")
    numbers = np.asarray(values, float)
    low, high = float(numbers.min()), float(np.percentile(numbers, TAIL, method="higher"))
    whole = bool((numbers == np.round(numbers)).all())
    bins = min(BINS, int(high - low) + 1) if whole else BINS
    if high <= low:
        low, high, bins = low - 0.5, low + 0.5, 1
    elif whole:
        low, high = low - 0.5, high + 0.5
    counts, edges = np.histogram(np.minimum(numbers, high), bins=bins, range=(low, high))
    return histogram_of_counts(
        edges.tolist(), counts.tolist(), unit, minimum=float(numbers.min()), maximum=float(numbers.max()), style=style
    )


def histogram_of_counts(
    edges: Sequence[float], counts: Sequence[int], unit: str, *, minimum: float, maximum: float, style: str = "s1"
) -> Markup:
    """The SVG of a histogram: `counts` between neighbors of `edges`; `least` and `most` are values, for the labels."""
    tallest = max([1, *counts])
    step = (WIDTH - LEFT - RIGHT) / len(counts)
    parts = []
    for number, count in enumerate(counts):
        height = (HEIGHT - TOP - BOTTOM) * count / tallest
        height = max(height, 1.5) if count else 0
        x, y = LEFT + number * step, HEIGHT - BOTTOM - height
        tip = f"{_short(edges[number])} to {_short(edges[number + 1])} {unit}: {count:,}"
        parts.append(
            f'<g class="column"><title>{escape(tip)}</title>{_rect("hit", x, TOP, step, HEIGHT - TOP - BOTTOM)}'
            f"{_rect(f'height {style}', x + 0.75, y, max(step - 1.5, 1), height)}</g>"
        )
    line = f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{HEIGHT - BOTTOM}" y2="{HEIGHT - BOTTOM}"/>'
    return Markup(
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="histogram of {escape(unit)}">'
        f"{line}{''.join(parts)}{_labels(edges[-1], unit, minimum, maximum)}</svg>"
    )


def _rect(style: str, x: float, y: float, width: float, height: float) -> str:
    return f'<rect class="{style}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'


def _labels(end: float, unit: str, minimum: float, maximum: float) -> str:
    last = f"{_short(maximum)} {unit}" if maximum <= end else f"{_short(end)} and more, to {_short(maximum)} {unit}"
    places = ((LEFT, "start", _short(minimum)), (WIDTH - RIGHT, "end", last))
    return "".join(
        f'<text x="{x}" y="{HEIGHT - 7}" text-anchor="{anchor}">{escape(text)}</text>' for x, anchor, text in places
    )


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10 or value == round(value) else f"{value:.2g}"
