"""Line charts as inline SVG: axes, round ticks, one line a series; colors come from the page's style sheet."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 640, 280
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 12, 36
MAX_POINTS = 500
LOG_FROM_RATIO = 30
"""A loss that falls by more than this factor is drawn on a logarithmic axis."""


@dataclass(frozen=True)
class Series:
    """`points` are (step, value) in order of steps; `style` is the CSS class of the line."""

    name: str
    points: Sequence[tuple[float, float]]
    style: str


def line_chart(series: Sequence[Series], label: str, *, share: bool = False) -> str:
    """The SVG of the series that have points; empty where none has. `share` draws 0..1 as percent."""
    series = [Series(line.name, _thinned(_finite(line.points)), line.style) for line in series]
    series = [line for line in series if line.points]
    if not series:
        return ""
    steps = [step for line in series for step, _ in line.points]
    values = [value for line in series for _, value in line.points]
    log = not share and min(values) > 0 and max(values) / min(values) > LOG_FROM_RATIO
    x = _Axis(min(steps), max(steps), LEFT, WIDTH - RIGHT)
    low, high = (0.0, 1.0) if share else (min(values), max(values)) if log else (0.0, max(values) * 1.05)
    y = _Axis(low, high, HEIGHT - BOTTOM, TOP, log)
    form = (lambda value: f"{100 * value:g}%") if share else (lambda value: f"{value:.3g}")
    parts = [_grid(x, y, form), *(_line(line, x, y) for line in series)]
    drawn = [{"name": line.name, "style": line.style, "points": _hover(line, x, y, share)} for line in series]
    title = f"{label}{' (log scale)' if log else ''}"
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}" '
        f"data-series='{escape(json.dumps(drawn), quote=True)}'>{''.join(parts)}"
        f'<text class="axis-title" x="{LEFT}" y="{HEIGHT - 4}">{escape(title)} by step</text>'
        f'<line class="guide" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/></svg>'
    )


def round_ticks(low: float, high: float, maximum: int = 6) -> list[float]:
    """At most `most` + 1 multiples of 1, 2 or 5 times a power of ten within [low, high]."""
    if high <= low:
        return [low]
    rough = (high - low) / maximum
    unit = 10 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough * (1 - 1e-9))
    return [round(index * step, 12) for index in range(math.ceil(low / step), math.floor(high / step + 1e-9) + 1)]


class _Axis:
    """Maps a value to a place between two pixels."""

    def __init__(self, low: float, high: float, start: float, end: float, log: bool = False):
        self.low, self.high, self.start, self.end, self.log = low, high, start, end, log

    def position(self, value: float) -> float:
        low, high, value = (math.log(part) if self.log else part for part in (self.low, self.high, value))
        share = (value - low) / (high - low) if high > low else 0.5
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self) -> list[float]:
        if not self.log:
            return round_ticks(self.low, self.high)
        exponents = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        return [tick for e in exponents for tick in (10.0**e, 3 * 10.0**e) if self.low <= tick <= self.high]


def _grid(x: _Axis, y: _Axis, form) -> str:
    parts = []
    for tick in y.ticks():
        at = y.position(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 8}" y="{at + 4}" text-anchor="end">{form(tick)}</text>')
    for tick in x.ticks():
        at = x.position(tick)
        anchor = "end" if at > WIDTH - 40 else "middle"
        parts.append(f'<text class="tick" x="{at}" y="{HEIGHT - BOTTOM + 16}" text-anchor="{anchor}">{tick:,g}</text>')
    return "".join(parts)


def _line(line: Series, x: _Axis, y: _Axis) -> str:
    places = " ".join(f"{x.position(step)},{y.position(value)}" for step, value in line.points)
    dots = ""
    if len(line.points) <= 40:
        dots = "".join(
            f'<circle class="dot {line.style}" cx="{x.position(step)}" cy="{y.position(value)}" r="3"/>'
            for step, value in line.points
        )
    return f'<polyline class="line {line.style}" points="{places}"/>{dots}'


def _hover(line: Series, x: _Axis, y: _Axis, share: bool) -> list[list]:
    shown = (lambda value: f"{100 * value:.1f}%") if share else (lambda value: f"{value:.4g}")
    return [[x.position(step), y.position(value), f"{step:g}", shown(value)] for step, value in line.points]


def _finite(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(step, value) for step, value in points if math.isfinite(step) and math.isfinite(value)]


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most `MAX_POINTS`: the mean of each stretch of neighbors, at the stretch's last step."""
    size = math.ceil(len(points) / MAX_POINTS)
    if size <= 1:
        return list(points)
    stretches = [points[start : start + size] for start in range(0, len(points), size)]
    return [(stretch[-1][0], sum(value for _, value in stretch) / len(stretch)) for stretch in stretches]
