"""TeX's grammar in math mode: environments and rows of cells over the lists of `list_parser`.

The commands are in the table of `commands`, which a `Parser` receives.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from texlens.latex.parse import symbols as sym
from texlens.latex.parse.lengths import COLUMN_RANGE, DIMENSION, ROW_GAP, length_em
from texlens.latex.parse.list_parser import ListParser
from texlens.latex.parse.nodes import Matrix, Node, Row
from texlens.latex.parse.refusals import unknown_environment
from texlens.latex.parse.symbol_nodes import BETWEEN_ROWS, CELL_STOPS, DASHED_LINE, EMPTY, NEW_ROW, PARTIAL_LINES
from texlens.latex.parse.tokens import Token

MAX_COLUMNS = 200
_SPACES_AFTER_ROW = {"array": (True, True), "matrix": (False, False)}
r"""Kind of rows → whether spaces may be before the `*` and the `[2pt]` of a `\\`; amsmath's own: (True, False)."""


class TableBody(NamedTuple):
    """Cells by rows, and the rules before rows (see `Matrix`)."""

    rows: tuple[tuple[Node, ...], ...]
    lines: tuple[int, ...]
    partial_lines: tuple[tuple[int, int, int], ...]
    gaps: tuple[tuple[int, float], ...]


CellReader = Callable[["Parser", int, frozenset[str]], Node]
"""Reads the cell of a column up to one of the given tokens, which is left."""


class Parser(ListParser):
    """Recursive descent over the tokens of a formula."""

    __slots__ = ("numbers",)

    def __init__(self, formula: str, tokens: list[Token], commands: Mapping[str, "Handler"]):
        super().__init__(formula, tokens, commands)
        self.numbers: list[Node] = []

    def formula_row(self) -> Row:
        row = self.lines("")
        if self.texts[self.i]:
            raise self.error(f"`{self.texts[self.i]}` closes nothing that is open; remove it, or add its `{{`")
        return row

    def environment(self, name: str) -> Node:
        opened = self.i
        self.i += 1
        closing = f"\\end{{{name}}}"
        if name in sym.TRANSPARENT_ENVIRONMENTS:
            node: Node = self.lines(closing)
        else:
            handler = self.commands.get("\\begin")
            if handler is None or name not in sym.ENVIRONMENTS:
                raise self.error(unknown_environment(name), opened)
            node = handler(self, name) or EMPTY
        if self.texts[self.i] != closing:
            raise self.error(f"`\\begin{{{name}}}` is never closed", opened)
        self.i += 1
        return node

    def rows(self, closing: str, read_cell: CellReader | None = None) -> TableBody:
        """Cells up to `closing`, which is left."""
        stops = CELL_STOPS | {closing}
        outer_numbers, self.numbers = self.numbers, []
        rows: list[tuple[Node, ...]] = []
        lines: list[int] = []
        partial: list[tuple[int, int, int]] = []
        gaps: list[tuple[int, float]] = []
        cells: list[Node] = []
        while True:
            while not cells and self.texts[self.i] in BETWEEN_ROWS:
                self._between_rows(rows, lines, partial)
            cells.append(read_cell(self, len(cells), stops) if read_cell else Row(tuple(self.items(stops))))
            text = self.texts[self.i]
            if text == "&":
                self.i += 1
                continue
            rows.append(self._numbered(cells))
            if text not in NEW_ROW:
                break
            cells = []
            if gap := self._row_end(closing):
                gaps.append((len(rows) - 1, gap))
        self.numbers = outer_numbers
        if rows[-1] == (Row(()),):
            rows.pop()
        return TableBody(tuple(rows), tuple(lines), tuple(partial), tuple(gaps))

    def _numbered(self, cells: list[Node]) -> tuple[Node, ...]:
        r"""The cells of a row; a `\tag` anywhere in it is at its end."""
        if self.numbers:
            last = cells[-1]
            items = last.items if isinstance(last, Row) else (last,)
            cells[-1] = Row((*items, *self.numbers))
            self.numbers = []
        return tuple(cells)

    def _between_rows(
        self, rows: list[tuple[Node, ...]], lines: list[int], partial: list[tuple[int, int, int]]
    ) -> None:
        r"""A rule or an `\intertext` before the next row."""
        text = self.texts[self.i]
        if text.endswith("intertext"):
            node = self.command(text)
            rows.append((Row(() if node is None else (node,)),))
            return
        self.i += 1
        if text in PARTIAL_LINES:
            if self.texts[self.i] == "(":
                while self.texts[self.i] not in ("", "{"):
                    self.i += 1
            columns = COLUMN_RANGE.fullmatch(self.raw(text))
            if columns is None:
                raise self.error(f"`{text}` needs columns such as `{{1-2}}`")
            partial.append((len(rows), int(columns[1]) - 1, int(columns[2]) - 1))
        elif text == DASHED_LINE:
            self.raw_optional()
            lines.append(-1 - len(rows))
        else:
            lines.append(len(rows))

    def _row_end(self, closing: str) -> float:
        r"""Past `\\`, its `*` and its `[2pt]`; returns the length, in em.

        Within LaTeX's own tables (`array`) spaces may come before the star and the option; amsmath takes `\\ [a]` for
        ink, and in its matrices and cases `\\ *` too.
        """
        text = self.texts[self.i]
        self.i += 1
        if text not in ("\\\\", "\\tabularnewline"):
            return 0.0
        before_star, before_option = _SPACES_AFTER_ROW.get(_kind_of_rows(closing), (True, False))
        if self.texts[self.i] == "*" and (before_star or self._is_adjacent()):
            self.i += 1
        if self.texts[self.i] != "[" or not (before_option or self._is_adjacent()):
            return 0.0
        match = ROW_GAP.match(self.formula, self.tokens[self.i].start)
        while match and self.i < len(self.tokens) and self.tokens[self.i].start < match.end():
            self.i += 1
        length = DIMENSION.fullmatch("".join(match["length"].split())) if match else None
        return length_em(length) if length else 0.0

    def _is_adjacent(self) -> bool:
        """Whether no white space is before the next token."""
        return self.tokens[self.i - 1].end == self.tokens[self.i].start

    def lines(self, closing: str) -> Row:
        """A formula that may hold `&` and line ends outside of any environment."""
        rows, lines, partial, gaps = self.rows(closing)
        if not rows and not lines:
            return Row(())
        if len(rows) == 1 and len(rows[0]) == 1 and not (lines or partial):
            only = rows[0][0]
            assert isinstance(only, Row)
            return only
        columns = "rl" if any(len(row) > 1 for row in rows) else "c"
        return Row((Matrix("aligned", rows, columns, lines, implied=True, partial_lines=partial, gaps=gaps),))


def _kind_of_rows(closing: str) -> str:
    """Whose line ends an environment has: LaTeX's (`array`), amsmath's matrices' (`matrix`) or alignments' ("")."""
    name = closing[5:-1].rstrip("*") if closing.startswith("\\end{") else ""
    if name in ("array", "tabular", "eqnarray"):
        return "array"
    return "matrix" if name.endswith(("matrix", "cases")) else ""


Handler = Callable[[Parser, str], Node | None]
"""Reads what follows a command; None where it leaves no mark."""
