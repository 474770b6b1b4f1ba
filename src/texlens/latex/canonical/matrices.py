"""Matrices in canonical form: one name for each way of drawing, cells without what leaves no mark."""

from texlens.latex.canonical.canonicalizer import Canonicalizer
from texlens.latex.canonical.items import Item, Unit
from texlens.latex.canonical.printing import group
from texlens.latex.layout.engine import State
from texlens.latex.layout.matrices import fences
from texlens.latex.layout.spacing import INNER, ORD
from texlens.latex.parse import symbols as sym
from texlens.latex.parse.nodes import Matrix, Multicolumn, Row

# shape of an environment → the name that it goes by
_NAMES = {"matrix*": "matrix", "eqnarray*": "eqnarray", "cases*": "cases", "dcases*": "dcases", "subarray": "substack"}
_NAMES |= {f"{kind}matrix*": f"{kind}matrix" for kind in "pbBvV"}
_NAMES |= {name: "aligned" for name, shape in sym.ENVIRONMENTS.items() if shape == sym.ENVIRONMENTS["aligned"]}
_NAMES |= dict.fromkeys(("gather", "gather*", "displaylines"), "gathered")
_NAMES |= dict.fromkeys(("multline", "multline*"), "multlined")


def canonical_table(canonicalizer: Canonicalizer, node: Matrix, style: int, state: State, loose: bool) -> Unit:
    cell_style = sym.ENVIRONMENTS[node.environment][3] or 0
    rows = [[canonicalizer.spelt(cell, cell_style, state, False) for cell in row] for row in node.rows]
    has_spans = any(_is_span(cell) for row in node.rows for cell in row)
    if not has_spans:
        rows = _trimmed(rows)
    count = max((len(row) for row in rows), default=0)
    name, columns = _name_and_columns(node, count, has_spans)
    body: list[str] = []
    for number, row in enumerate(rows):
        if number:
            body.append("\\\\")
        if number in node.lines:
            body.append("\\hline")
        for i, cell in enumerate(row):
            if i:
                body.append("&")
            elif cell and cell[0] == "[":
                body += ("{", "}")
            body += cell
    if rows and not any(rows[-1]):
        body.append("\\\\")
    if len(rows) in node.lines and rows:
        body += ("\\hline",) if not any(rows[-1]) else ("\\\\", "\\hline")
    if name == "substack":
        return Item(("\\substack", "{", *body, "}"), ORD)
    whole = (f"\\begin{{{name}}}", *columns, *body, f"\\end{{{name}}}")
    return Item(whole, ORD if fences(name)[0] is None else INNER)


def name_of(node: Matrix) -> str:
    """The canonical name of an environment, shared by all that are drawn the same."""
    return "gathered" if node.implied and node.columns == "c" else _NAMES.get(node.environment, node.environment)


def _is_span(cell: object) -> bool:
    return isinstance(cell, Row) and len(cell.items) == 1 and isinstance(cell.items[0], Multicolumn)


def _trimmed(rows: list[list[tuple[str, ...]]]) -> list[list[tuple[str, ...]]]:
    """Rows without empty cells at their end; the first row keeps as many as there are columns."""
    count = max((len(row) for row in rows), default=0)
    cut: list[list[tuple[str, ...]]] = []
    for row in rows:
        while row and not row[-1]:
            row = row[:-1]
        cut.append(row or [()])
    if cut and max(len(row) for row in cut) < count:
        cut[0] += [()] * (count - len(cut[0]))
    return cut


def _name_and_columns(node: Matrix, count: int, has_spans: bool) -> tuple[str, tuple[str, ...]]:
    name = name_of(node)
    if name == "substack" and node.environment == "subarray" and node.columns.strip("c"):
        return "subarray", ("{", *node.columns, "}")
    if name.startswith("IEEE"):
        return ("eqnarray", ()) if node.columns == "rcl" else ("IEEEeqnarray", ("{", *node.columns, "}"))
    if name != "array":
        return name, () if sym.ENVIRONMENTS[node.environment][2] else ("{", *(node.columns or "c"), "}")
    letters = [letter for letter in node.columns if letter != "|"] or ["c"]
    letters += [letters[-1]] * (count - len(letters))
    if "|" in node.columns or has_spans:
        return "array", ("{", *node.columns, "}")
    if not node.lines and set(letters[:count]) <= {"c"}:
        return "matrix", ()
    return "array", ("{", *letters[: max(1, count)], "}")


def canonical_multicolumn(
    canonicalizer: Canonicalizer, node: Multicolumn, style: int, state: State, loose: bool
) -> Unit:
    body = canonicalizer.spelt(node.body, style, state, False)
    return Item(group(("\\multicolumn",), tuple(str(node.span)), tuple(node.columns or "c"), body), ORD)
