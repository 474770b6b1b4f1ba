"""Matrices in canonical form: one name for each way of drawing, cells without what leaves no mark."""

from collections.abc import Sequence

from texlens.latex.canonical.canonicalizer import PLAIN, Canonicalizer
from texlens.latex.canonical.items import Item, Unit
from texlens.latex.canonical.printing import group
from texlens.latex.canonical.text import canonical_intertext
from texlens.latex.layout.engine import State, cell_state
from texlens.latex.layout.matrices import fences
from texlens.latex.layout.spacing import INNER, ORD
from texlens.latex.parse import symbols as sym
from texlens.latex.parse.nodes import Intertext, Matrix, Multicolumn, Node, Row

# shape of an environment → the name that it goes by
_NAMES = {"matrix*": "matrix", "eqnarray*": "eqnarray", "cases*": "cases", "dcases*": "dcases", "subarray": "substack"}
_NAMES |= {f"{kind}matrix*": f"{kind}matrix" for kind in "pbBvV"}
_NAMES |= {"tabular": "array", "rcases*": "rcases", "drcases*": "drcases", "smallmatrix*": "smallmatrix"}
_NAMES |= {f"{kind}smallmatrix*": f"{kind}smallmatrix" for kind in "pbBvV"}
_NAMES |= {name: "aligned" for name, shape in sym.ENVIRONMENTS.items() if shape == sym.ENVIRONMENTS["aligned"]}
_NAMES |= dict.fromkeys(("gather", "gather*", "displaylines"), "gathered")
_ALIGNED = frozenset(f"{kind}matrix*" for kind in ("", *"pbBvV", "small", *(f"{letter}small" for letter in "pbBvV")))
_NAMES |= dict.fromkeys(("multline", "multline*"), "multlined")


def canonical_table(canonicalizer: Canonicalizer, node: Matrix, style: int, state: State, loose: bool) -> Unit:
    cell_style = sym.ENVIRONMENTS[node.environment][3] or 0
    state = cell_state(state)
    rows = [
        [("text",) if is_intertext(cell) else canonicalizer.spelt(cell, cell_style, state, False) for cell in row]
        for row in node.rows
    ]
    has_spans = any(_is_span(cell) for row in node.rows for cell in row)
    if not has_spans:
        rows = _trimmed(rows, [is_intertext(row[0]) for row in node.rows])
    count = max((len(row) for row in rows), default=0)
    name, columns = _name_and_columns(canonicalizer, node, count, has_spans)
    body: list[str] = []
    for number, row in enumerate(rows):
        before = number and not is_intertext(node.rows[number - 1][0])
        if before:
            body.append("\\\\")
        body += _rules_before(node, number)
        if is_intertext(node.rows[number][0]):
            body += _intertext(canonicalizer, node.rows[number][0])
            continue
        for i, cell in enumerate(row):
            if i:
                body.append("&")
            elif cell and cell[0] in ("[", "*") and number:
                body += ("{", "}")
            body += cell
        if number == 0 and body and body[0] == "[" and _is_option(name, body):
            body[:0] = ("{", "}")
    if rows and not any(rows[-1]) and not is_intertext(node.rows[-1][0]):
        body.append("\\\\")
    last_rules = _rules_before(node, len(rows)) if rows else []
    if last_rules:
        body += last_rules if not any(rows[-1]) else ["\\\\", *last_rules]
    if name == "substack":
        return Item(("\\substack", "{", *body, "}"), ORD)
    position = ("[", node.position, "]") if node.position else ()
    whole = (f"\\begin{{{name}}}", *position, *columns, *body, f"\\end{{{name}}}")
    return Item(whole, ORD if fences(name)[0] is None else INNER)


def _rules_before(node: Matrix, row: int) -> list[str]:
    tokens = ["\\hline"] * node.lines.count(row) + ["\\hdashline"] * node.lines.count(-1 - row)
    for number, first, last in node.partial_lines:
        if number == row:
            tokens += ["\\cline", f"{{{first + 1}-{last + 1}}}"]
    return tokens


def _is_option(name: str, body: Sequence[str]) -> bool:
    """Whether ink at the start of an environment would be read as its option."""
    letters = "lcr" if name.endswith("matrix*") else "tbc"
    return len(body) > 2 and body[1] in tuple(letters) and body[2] == "]"


def is_intertext(cell: Node) -> bool:
    return isinstance(cell, Row) and len(cell.items) == 1 and isinstance(cell.items[0], Intertext)


def _intertext(canonicalizer: Canonicalizer, cell: Node) -> tuple[str, ...]:
    assert isinstance(cell, Row)
    assert isinstance(cell.items[0], Intertext)
    return canonical_intertext(canonicalizer, cell.items[0].body)


def name_of(node: Matrix) -> str:
    """The canonical name of an environment, shared by all that are drawn the same."""
    return "gathered" if node.implied and node.columns == "c" else _NAMES.get(node.environment, node.environment)


def _is_span(cell: object) -> bool:
    return isinstance(cell, Row) and len(cell.items) == 1 and isinstance(cell.items[0], Multicolumn)


def _trimmed(rows: list[list[tuple[str, ...]]], is_text: list[bool]) -> list[list[tuple[str, ...]]]:
    """Rows without empty cells at their end; the first row keeps as many as there are columns."""
    count = max((len(row) for row in rows), default=0)
    cut: list[list[tuple[str, ...]]] = []
    for row in rows:
        while row and not row[-1]:
            row = row[:-1]
        cut.append(row or [()])
    if cut and max(len(row) for row in cut) < count:
        first = next((row for row, text in zip(cut, is_text, strict=True) if not text), cut[0])
        first += [()] * (count - len(first))
    return cut


def _name_and_columns(
    canonicalizer: Canonicalizer, node: Matrix, count: int, has_spans: bool
) -> tuple[str, tuple[str, ...]]:
    name = name_of(node)
    if node.environment in _ALIGNED and node.columns.strip("c"):
        return node.environment, ("[", node.columns, "]")
    if name == "substack" and node.environment == "subarray" and node.columns.strip("c"):
        return "subarray", ("{", *node.columns, "}")
    if name.startswith("IEEE"):
        return ("eqnarray", ()) if node.columns == "rcl" else ("IEEEeqnarray", ("{", *node.columns, "}"))
    if name != "array":
        return name, () if sym.ENVIRONMENTS[node.environment][2] else ("{", *(node.columns or "c"), "}")
    letters = [letter for letter in node.columns if letter in "lcr"] or ["c"]
    letters += [letters[-1]] * (count - len(letters))
    if has_spans or any(letter not in "lcr" for letter in node.columns):
        specification = _specification(canonicalizer, node)
        if set(specification) <= set("lcr") and not has_spans and not node.lines and not node.partial_lines:
            specification = tuple(letters[:count])
        if has_spans or not set(specification) <= {"c"} or node.lines or node.partial_lines:
            return "array", ("{", *specification, "}")
    if not node.lines and not node.partial_lines and set(letters[:count]) <= {"c"}:
        return "matrix", ()
    return "array", ("{", *letters[: max(1, count)], "}")


def _specification(canonicalizer: Canonicalizer, node: Matrix) -> tuple[str, ...]:
    """The columns as tokens; an empty `@{}` at either end only takes away the half em outside, which does not count."""
    tokens: list[str] = []
    inserts = iter(node.inserts)
    for i, letter in enumerate(node.columns):
        if letter not in "@!":
            tokens.append(letter)
            continue
        body = canonicalizer.spelt(next(inserts), sym.ENVIRONMENTS[node.environment][3] or 0, PLAIN, False)
        if body or 0 < i < len(node.columns) - 1:
            tokens += (letter, "{", *body, "}")
    return tuple(tokens)


def canonical_multicolumn(
    canonicalizer: Canonicalizer, node: Multicolumn, style: int, state: State, loose: bool
) -> Unit:
    body = canonicalizer.spelt(node.body, style, state, False)
    return Item(group(("\\multicolumn",), tuple(str(node.span)), tuple(node.columns or "c"), body), ORD)
