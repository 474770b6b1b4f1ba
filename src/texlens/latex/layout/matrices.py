"""Where the cells of a matrix go, as LaTeX's array and amsmath's environments set them. Lengths in em."""

from collections.abc import Callable
from typing import NamedTuple

from texlens.latex.layout.boxes import Box, rule
from texlens.latex.parse.nodes import Matrix, Multicolumn, Node, Row
from texlens.latex.parse.symbols import ENVIRONMENTS

_STRUT_HEIGHT, _STRUT_DEPTH = 0.84, 0.36
_LINE = 0.04


class _Spacing(NamedTuple):
    """What an environment puts around its cells."""

    between: float
    outside: float
    stretch: float = 1.0
    leading: float = 0.0
    least_gap: float = 0.0


_ARRAY = _Spacing(1.0, 0.5)
_MATRIX = _Spacing(1.0, 0.0)
_ALIGNED = _Spacing(0.0, 0.0, leading=0.3, least_gap=0.4)
_SPACING = {
    "array": _ARRAY,
    "tabular": _ARRAY,
    "cases": _Spacing(1.0, 0.0, stretch=1.2),
    "eqnarray": _Spacing(1.0, 0.0, leading=0.3, least_gap=0.4),
    "aligned": _ALIGNED,
    "gathered": _ALIGNED,
    "substack": _Spacing(0.0, 0.0, stretch=0.46, least_gap=0.08),
    "smallmatrix": _Spacing(0.28, 0.0, stretch=0.5, least_gap=0.08),
}
Cell = Callable[[Node, int], Box]


def _kind(environment: str) -> str:
    """The environment whose spacing this one shares."""
    name = environment.rstrip("*")
    shape = ENVIRONMENTS.get(environment)
    if name in _SPACING:
        return name
    if "small" in name:
        return "smallmatrix"
    if "cases" in name:
        return "cases"
    if name == "subarray":
        return "substack"
    for kind in ("aligned", "gathered", "eqnarray"):
        if shape == ENVIRONMENTS[kind]:
            return kind
    return "matrix"


def fences(environment: str) -> tuple[str | None, str | None]:
    """The delimiters around an environment; None for both where it has none."""
    left, right = ENVIRONMENTS[environment][:2]
    return (left or ".", right or ".") if left or right else (None, None)


def grid(node: Matrix, cell: Cell, relation_cell: Cell, axis: float, script: float) -> Box:
    """The cells in rows and columns, centered on the axis."""
    kind = _kind(node.environment)
    spacing = _SPACING.get(kind, _MATRIX)
    style = ENVIRONMENTS[node.environment][3] or 0
    alignments, bars = _columns(node)
    boxes = [
        [(relation_cell if kind == "aligned" and i % 2 else cell)(content, style) for i, content in enumerate(row)]
        for row in node.rows
    ]
    widths = _widths(node, boxes)
    lefts, width = _lefts(widths, spacing, kind, script if style >= 4 else 1.0)
    children: list[tuple[float, float, Box]] = []
    strut = spacing.stretch * (script if kind == "subscript" else 1.0)
    y, depth_before = 0.0, 0.0
    for number, (row, contents) in enumerate(zip(boxes, node.rows, strict=True)):
        height = max([_STRUT_HEIGHT * strut] + [box.height for box in row])
        depth = max([_STRUT_DEPTH * strut] + [box.depth for box in row])
        if number:
            natural = depth_before + height
            normal = 1.2 * strut + spacing.leading
            y -= max(normal, natural + spacing.least_gap) if spacing.least_gap else natural
        else:
            y -= height
        column = 0
        for box, content in zip(row, contents, strict=True):
            span, align = _span(content, alignments, column)
            last = min(column + span, len(widths)) - 1
            room = lefts[last] + widths[last] - lefts[column]
            children.append((lefts[column] + _indent(align, room, box.width), y, box))
            column = last + 1
        depth_before = depth
        children += _row_lines(node, number, y, height, depth, width)
    total = depth_before - y
    for bar in bars:
        at = 0.0 if bar == 0 else width - _LINE if bar >= len(lefts) else lefts[bar] - spacing.between / 2
        children.append((at, -total, rule(_LINE, total, 0.0, "|")))
    return _centered(Box(width, 0.0, total, children), axis)


def _columns(node: Matrix) -> tuple[str, list[int]]:
    """One letter a column, and the columns that a vertical rule goes before."""
    count = max((len(row) for row in node.rows), default=0)
    letters, bars = "", []
    for letter in node.columns:
        if letter == "|":
            bars.append(len(letters))
        else:
            letters += letter
    letters = letters or "c"
    if ENVIRONMENTS[node.environment][2]:
        letters *= count // len(letters) + 1
    return letters.ljust(count, letters[-1]), bars


def _span(content: Node, alignments: str, column: int) -> tuple[int, str]:
    only = content.items[0] if isinstance(content, Row) and len(content.items) == 1 else None
    if isinstance(only, Multicolumn):
        return max(1, only.span), (only.columns.strip("|") or "c")[0]
    return 1, alignments[min(column, len(alignments) - 1)]


def _widths(node: Matrix, boxes: list[list[Box]]) -> list[float]:
    widths: list[float] = []
    for row, contents in zip(boxes, node.rows, strict=True):
        column = 0
        for box, content in zip(row, contents, strict=True):
            span, _ = _span(content, "c", 0)
            while len(widths) < column + span:
                widths.append(0.0)
            if span == 1:
                widths[column] = max(widths[column], box.width)
            column += span
    return widths


def _lefts(widths: list[float], spacing: _Spacing, kind: str, scale: float) -> tuple[list[float], float]:
    """The left edge of each column, and the whole width."""
    lefts, x = [], spacing.outside
    for i, width in enumerate(widths):
        if i:
            x += (1.0 if i % 2 == 0 else 0.0) if kind == "aligned" else spacing.between
        lefts.append(x)
        x += width
    return lefts, x + spacing.outside


def _indent(align: str, room: float, width: float) -> float:
    return {"l": 0.0, "r": room - width}.get(align, (room - width) / 2)


def _row_lines(
    node: Matrix, number: int, y: float, height: float, depth: float, width: float
) -> list[tuple[float, float, Box]]:
    line = rule(width, _LINE, 0.0, "\\hline")
    found = [(0.0, y + height, line)] if number in node.lines else []
    if number == len(node.rows) - 1 and len(node.rows) in node.lines:
        found.append((0.0, y - depth, line))
    return found


def _centered(box: Box, axis: float) -> Box:
    """Moved so that half of it is above the axis."""
    total = box.height + box.depth
    shift = axis + total / 2 - box.height
    return Box(box.width, axis + total / 2, total / 2 - axis, [(x, y + shift, child) for x, y, child in box.children])
