r"""Environments with rows and columns: their options, column specifications and text cells."""

import re
from typing import NamedTuple

from texlens.latex.parse import symbols as sym
from texlens.latex.parse.nodes import Matrix, Multicolumn, Node, Row, Text
from texlens.latex.parse.recursive_descent import MAX_COLUMNS, CellReader, Parser
from texlens.latex.parse.text_mode import text_parts_until
from texlens.latex.parse.tokens import scan

_POSITIONED = frozenset(["aligned", "gathered", "alignedat", "array", "tabular", "multlined", "subarray"])
"""Environments with an option `[t]`, `[b]` or `[c]`."""
_ALIGNED_MATRICES = frozenset(f"{kind}matrix*" for kind in ("", "p", "b", "B", "v", "V", "small", "psmall", "bsmall"))
"""mathtools' matrices with an option for the alignment of their columns."""
_TEXT_CASES = frozenset(["cases*", "dcases*", "rcases*"])
"""mathtools' cases, whose second column is text."""
_REPEATED = re.compile(r"\*\s*(?:\{\s*(\d{1,3})\s*\}|(\d))\s*")
_MAX_EXPANSIONS = 50


class Columns(NamedTuple):
    """A column specification: `letters` and `inserts` as in `Matrix`; what `>{}` and `<{}` add to each cell."""

    letters: str
    inserts: tuple[Node, ...]
    before: tuple[tuple[Node, ...], ...]
    after: tuple[tuple[Node, ...], ...]
    text: frozenset[int]


def table(parser: Parser, name: str) -> Matrix:
    r"""The environment `name` after its `\begin`, up to its `\end`, which is left."""
    if name not in sym.ENVIRONMENTS:
        raise parser.error(r"`\begin` lacks the name of its environment, such as \begin{matrix}", parser.i - 1)
    position = parser.letter_option("tbc") if name in _POSITIONED else ""
    columns, specification = sym.ENVIRONMENTS[name][2], None
    if name in _ALIGNED_MATRICES:
        columns = parser.letter_option("lcr") or columns
    elif name.startswith("IEEE"):
        parser.raw_optional()
        specification = _ieee_columns(parser, parser.raw(f"\\begin{{{name}}}"))
    elif columns == "":
        if parser.texts[parser.i] != "{":
            raise parser.error(f"`\\begin{{{name}}}` needs its columns in braces, such as {{cc}}")
        specification = column_specification(parser, parser.raw(f"\\begin{{{name}}}"), name == "tabular")
    elif "alignat" in name or name == "alignedat":
        parser.raw(f"\\begin{{{name}}}")
    body = parser.rows(f"\\end{{{name}}}", _cell_reader(name, specification))
    letters, inserts = (specification.letters, specification.inserts) if specification else (columns, ())
    baseline = "" if position == "c" else position
    return Matrix(name, body.rows, letters, body.lines, False, inserts, body.partial_lines, baseline, body.gaps)


def column_specification(parser: Parser, source: str, is_text: bool = False) -> Columns:
    r"""The columns of `array`, `tabular` or `\multicolumn`.

    Raises:
        LatexError: an unknown column type.
    """
    letters, inserts = "", []
    before: list[tuple[Node, ...]] = []
    after: list[tuple[Node, ...]] = []
    pending: tuple[Node, ...] = ()
    text: set[int] = set()
    source, i = _expanded(source), 0
    while i < len(source) and len(before) < MAX_COLUMNS:
        letter = source[i]
        i += 1
        if letter.isspace():
            continue
        if letter in "lcrpmbX":
            argument, i = _argument(source, i) if letter in "pmb" else ("", i)
            if is_text or letter in "pmbX":
                text.add(len(before))
            letters += "l" if letter in "pmbX" else letter
            before.append(pending)
            after.append(())
            pending = ()
        elif letter in "|:;":
            i = _argument(source, i)[1] if letter == ";" else i
            letters += "|" if letter == "|" else ":"
        elif letter in "@!><":
            argument, i = _argument(source, i)
            nodes = _parsed(parser, argument, is_text and letter in "><")
            if letter in "@!":
                letters += letter
                inserts.append(Row(nodes))
            elif letter == ">":
                pending = nodes + pending
            elif after:
                after[-1] += nodes
        else:
            raise parser.error(f"`{letter}` is not a column type; there are l, c, r, p{{…}}, |, :, @{{…}}, !{{…}}")
    return Columns(letters, tuple(inserts), tuple(before), tuple(after), frozenset(text))


def multicolumn(parser: Parser, text: str, is_text: bool = False) -> Multicolumn:
    digits = parser.raw(text).strip()
    span = min(int(digits), MAX_COLUMNS) if digits.isdecimal() and len(digits) < 4 else 1
    columns = column_specification(parser, parser.raw(text), is_text)
    letters = "".join(letter for letter in columns.letters if letter in "lcr|:")
    if not is_text:
        return Multicolumn(span, letters, parser.argument(text))
    if parser.texts[parser.i] != "{":
        raise parser.error(f"put braces around the text of `{text}`")
    parser.i += 1
    body = _text_cell(parser, frozenset("}"))
    parser.i += 1
    return Multicolumn(span, letters, body)


def _cell_reader(name: str, columns: Columns | None) -> CellReader | None:
    if name in _TEXT_CASES:
        return lambda parser, column, stops: (
            _text_cell(parser, stops) if column == 1 else Row(tuple(parser.items(stops)))
        )
    if columns is None or not (any(columns.before) or any(columns.after) or columns.text):
        return None

    def read(parser: Parser, column: int, stops: frozenset[str]) -> Node:
        is_text = column in columns.text or (name == "tabular" and column >= len(columns.before))
        cell = _text_cell(parser, stops) if is_text else Row(tuple(parser.items(stops)))
        if column >= len(columns.before) or not (columns.before[column] or columns.after[column]):
            return cell
        if len(cell.items) == 1 and isinstance(cell.items[0], Multicolumn):
            return cell
        return Row((*columns.before[column], *cell.items, *columns.after[column]))

    return read


def _text_cell(parser: Parser, stops: frozenset[str]) -> Row:
    if parser.texts[parser.i] == "\\multicolumn":
        parser.i += 1
        cell = multicolumn(parser, "\\multicolumn", is_text=True)
        if parser.texts[parser.i] not in stops:
            raise parser.error(r"`\multicolumn` is not alone in its cell")
        return Row((cell,))
    parts = list(text_parts_until(parser, stops))
    if parts and isinstance(parts[0], str):
        parts[0] = parts[0].lstrip()
    if parts and isinstance(parts[-1], str):
        parts[-1] = parts[-1].rstrip()
    parts = [part for part in parts if part != ""]
    return Row((Text("\\text", tuple(parts), "rm"),) if parts else ())


def _ieee_columns(parser: Parser, source: str) -> Columns:
    """IEEEtrantools' columns: the letters alone; its glue columns are the environment's own spacing."""
    letters = "".join(letter for letter in source.lower() if letter in "lcr")
    return Columns(letters[:MAX_COLUMNS], (), ((),) * len(letters), ((),) * len(letters), frozenset())


def _parsed(parser: Parser, source: str, is_text: bool) -> tuple[Node, ...]:
    part = Parser(source, scan(source), parser.commands)
    part.depth = parser.depth + 1
    if is_text:
        return tuple(node for node in text_parts_until(part, frozenset()) if isinstance(node, Node))
    return part.formula_row().items


def _argument(source: str, start: int) -> tuple[str, int]:
    """The group in braces at `start`, or the next character, and where it ends."""
    while start < len(source) and source[start].isspace():
        start += 1
    if start >= len(source):
        return "", start
    if source[start] != "{":
        return source[start], start + 1
    level = 0
    for end in range(start, len(source)):
        level += (source[end] == "{") - (source[end] == "}")
        if level == 0:
            return source[start + 1 : end], end + 1
    return source[start + 1 :], len(source)


def _expanded(source: str) -> str:
    """`*{3}{c}` written out."""
    for _ in range(_MAX_EXPANSIONS):
        repeat = _REPEATED.search(source)
        if repeat is None:
            break
        body, end = _argument(source, repeat.end())
        times = min(int(repeat[1] or repeat[2]), MAX_COLUMNS)
        source = (source[: repeat.start()] + body * times + source[end:])[: 20 * MAX_COLUMNS]
    return source
