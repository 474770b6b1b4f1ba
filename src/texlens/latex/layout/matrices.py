"""Where the cells of a matrix go, as LaTeX's array and amsmath's environments set them. Lengths in em."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from texlens.latex.layout.boxes import Box, rule
from texlens.latex.parse.nodes import Intertext, Matrix, Multicolumn, Node, Row
from texlens.latex.parse.symbols import ENVIRONMENTS

_STRUT_HEIGHT, _STRUT_DEPTH = 0.84, 0.36
_LINE = 0.04
_DOUBLE = 0.24  # LaTeX's \\doublerulesep and a rule


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
    """The cells in rows and columns, centered on the axis (or with the baseline of the first or last row)."""
    kind = _kind(node.environment)
    spacing = _SPACING.get(kind, _MATRIX)
    style = ENVIRONMENTS[node.environment][3] or 0
    alignments, gaps = columns_of(node)
    boxes = [
        [(relation_cell if kind == "aligned" and i % 2 else cell)(content, style) for i, content in enumerate(row)]
        for row in node.rows
    ]
    inserts = [cell(insert, style) for insert in node.inserts]
    columns = _Columns(_widths(node, boxes), alignments, gaps, inserts, spacing, kind)
    baselines, tops, bottoms = _row_places(boxes, spacing, dict(node.gaps), _double_rules(node))
    children: list[tuple[float, float, Box]] = []
    for y, row, contents in zip(baselines, boxes, node.rows, strict=True):
        column = 0
        for box, content in zip(row, contents, strict=True):
            span, align = _span(content, alignments, column)
            last = min(column + span, len(columns.lefts)) - 1
            available = columns.rights[last] - columns.lefts[column]
            children.append((columns.lefts[column] + _indent(align, available, box.width), y, box))
            column = last + 1
        children += [(x, y, insert) for x, insert in columns.inserts]
    children += _horizontal_rules(node, columns, tops, bottoms)
    children += _vertical_rules(node, columns, tops, bottoms)
    total = -bottoms[-1] if bottoms else 0.0
    box = Box(columns.width, 0.0, total, children)
    if node.position and baselines:
        return _moved(box, -baselines[0 if node.position == "t" else -1])
    return _moved(box, axis + total / 2)


def columns_of(node: Matrix) -> tuple[str, list[list[str]]]:
    """One letter a column, and what is in each gap before, between and after the columns (`|`, `:`, `@`, `!`)."""
    count = max((len(row) for row in node.rows), default=0)
    letters = ""
    gaps: list[list[str]] = [[]]
    for letter in node.columns:
        if letter in "|:@!":
            gaps[-1].append(letter)
        else:
            letters += letter
            gaps.append([])
    letters = letters or "c"
    if ENVIRONMENTS[node.environment][2]:
        letters *= count // len(letters) + 1
    letters = letters.ljust(count, letters[-1])
    gaps += [[] for _ in range(count + 1 - len(gaps))]
    return letters, gaps


class _Columns:
    """Where the columns begin and end, and what is drawn between them."""

    def __init__(
        self,
        widths: list[float],
        alignments: str,
        gaps: list[list[str]],
        inserts: list[Box],
        spacing: _Spacing,
        kind: str,
    ):
        self.lefts: list[float] = []
        self.rights: list[float] = []
        self.bars: list[tuple[int, float, str]] = []
        self.inserts: list[tuple[float, Box]] = []
        left_inserts = iter(inserts)
        x = 0.0
        for number, gap in enumerate(gaps[: len(widths) + 1]):
            first, last = number == 0, number == len(widths)
            around = spacing.outside if first or last else spacing.between / 2
            if kind == "aligned" and not (first or last):
                around = 0.5 if number % 2 == 0 else 0.0
            around = 0.0 if "@" in gap else around
            x += 0.0 if first else around
            for index, letter in enumerate(gap):
                if letter in "@!":
                    insert = next(left_inserts)
                    self.inserts.append((x, insert))
                    x += insert.width
                else:
                    x += _DOUBLE if index and gap[index - 1] in "|:" else 0.0
                    at = x if first else x - _LINE if last else x - _LINE / 2
                    self.bars.append((number, max(0.0, at), letter))
            x += 0.0 if last else around
            if not last:
                self.lefts.append(x)
                x += widths[number]
                self.rights.append(x)
        self.width = x


def _row_places(
    boxes: list[list[Box]], spacing: _Spacing, gaps: Mapping[int, float], double_rules: Mapping[int, float]
) -> tuple[list[float], list[float], list[float]]:
    r"""Baseline, top and bottom of each row; the first top is 0.

    The length of `\\[2pt]` is added between lines of an alignment; in a table it makes the row's strut deeper, where it
    is positive. `double_rules` is the space that further rules before a row take.
    """
    baselines: list[float] = []
    tops: list[float] = []
    bottoms: list[float] = []
    y = depth_before = 0.0
    for number, row in enumerate(boxes):
        height = max([_STRUT_HEIGHT * spacing.stretch] + [box.height for box in row])
        gap = gaps.get(number, 0.0)
        deeper = max(gap, 0.0) if not spacing.least_gap else 0.0
        depth = max([_STRUT_DEPTH * spacing.stretch + deeper] + [box.depth for box in row])
        if number:
            natural = depth_before + height
            normal = 1.2 * spacing.stretch + spacing.leading
            y -= max(normal, natural + spacing.least_gap) if spacing.least_gap else natural
        else:
            y -= height
        between = double_rules.get(number, 0.0)
        y -= between
        baselines.append(y)
        tops.append(y + height + between)
        bottoms.append(y - depth)
        depth_before = depth
        y -= gap - deeper
    return baselines, tops, bottoms


def _double_rules(node: Matrix) -> dict[int, float]:
    """The space of the second and further rules before a row."""
    rows = [line if line >= 0 else -1 - line for line in node.lines]
    return {row: (rows.count(row) - 1) * _DOUBLE for row in rows if rows.count(row) > 1}


def _span(content: Node, alignments: str, column: int) -> tuple[int, str]:
    only = content.items[0] if isinstance(content, Row) and len(content.items) == 1 else None
    if isinstance(only, Multicolumn):
        return max(1, only.span), (only.columns.strip("|:") or "c")[0]
    if isinstance(only, Intertext):
        return max(1, len(alignments)), "l"
    return 1, alignments[min(column, len(alignments) - 1)]


def _widths(node: Matrix, boxes: list[list[Box]]) -> list[float]:
    widths: list[float] = []
    for row, contents in zip(boxes, node.rows, strict=True):
        column = 0
        for box, content in zip(row, contents, strict=True):
            span, _ = _span(content, "c", 0)
            while len(widths) < column + span:
                widths.append(0.0)
            if span == 1 and not _is_intertext(content):
                widths[column] = max(widths[column], box.width)
            column += span
    return widths


def _is_intertext(content: Node) -> bool:
    return isinstance(content, Row) and len(content.items) == 1 and isinstance(content.items[0], Intertext)


def _indent(align: str, available: float, width: float) -> float:
    return {"l": 0.0, "r": available - width}.get(align, (available - width) / 2)


def _horizontal_rules(
    node: Matrix, columns: _Columns, tops: list[float], bottoms: list[float]
) -> list[tuple[float, float, Box]]:
    rules: list[tuple[float, float, Box]] = []
    drawn: dict[int, int] = {}
    for line in node.lines:
        row = line if line >= 0 else -1 - line
        y = _edge(row, tops, bottoms) - drawn.get(row, 0) * _DOUBLE
        drawn[row] = drawn.get(row, 0) + 1
        rules.append((0.0, y, rule(columns.width, _LINE, 0.0, "\\hline" if line >= 0 else "\\hdashline")))
    for row, first, last in node.partial_lines:
        first, last = min(first, len(columns.lefts) - 1), min(last, len(columns.lefts) - 1)
        if last < first or first < 0:
            continue
        left = 0.0 if first == 0 else (columns.rights[first - 1] + columns.lefts[first]) / 2
        right = (
            columns.width if last == len(columns.lefts) - 1 else (columns.rights[last] + columns.lefts[last + 1]) / 2
        )
        rules.append((left, _edge(row, tops, bottoms), rule(right - left, _LINE, 0.0, "\\cline")))
    return rules


def _edge(row: int, tops: list[float], bottoms: list[float]) -> float:
    """The upper edge of a row; of the row after the last, the lower edge of the last."""
    return tops[row] if row < len(tops) else bottoms[-1] if bottoms else 0.0


def _vertical_rules(
    node: Matrix, columns: _Columns, tops: list[float], bottoms: list[float]
) -> list[tuple[float, float, Box]]:
    """Each bar over the rows that have it, as one rule where these follow each other."""
    rules: list[tuple[float, float, Box]] = []
    for gap, x, letter in columns.bars:
        start = None
        for row in range(len(node.rows) + 1):
            is_there = row < len(node.rows) and _has_bar(node.rows[row], gap)
            if is_there and start is None:
                start = row
            elif not is_there and start is not None:
                top = 0.0 if start == 0 else tops[start]
                rules.append((x, bottoms[row - 1], rule(_LINE, top - bottoms[row - 1], 0.0, letter)))
                start = None
    return rules


def _has_bar(row: tuple[Node, ...], gap: int) -> bool:
    r"""Whether a row shows the bars of a gap: `\multicolumn` has bars of its own."""
    column = 0
    for content in row:
        only = content.items[0] if isinstance(content, Row) and len(content.items) == 1 else None
        if isinstance(only, Intertext):
            return False
        span = max(1, only.span) if isinstance(only, Multicolumn) else 1
        if isinstance(only, Multicolumn):
            if column < gap < column + span:
                return False
            if gap == column + span:
                return only.columns[-1:] in ("|", ":")
            if gap == column == 0:
                return only.columns[:1] in ("|", ":")
        column += span
    return True


def _moved(box: Box, up: float) -> Box:
    """A box that hangs from its baseline, moved up."""
    total = box.height + box.depth
    return Box(box.width, up, total - up, [(x, y + up, child) for x, y, child in box.children])
