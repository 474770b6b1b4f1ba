"""TeX's grammar in math mode: lists, groups, scripts, arguments, lengths and rows of cells.

The commands are in the table of `commands`, which a `Parser` receives.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import NamedTuple

from texlens.core.errors import LatexError
from texlens.latex.parse import symbols as sym
from texlens.latex.parse.nodes import (
    Classed,
    FontChange,
    FontSwitch,
    Fraction,
    Macro,
    Matrix,
    Node,
    Operator,
    Row,
    Scripts,
    Space,
    StyleChange,
    Symbol,
)
from texlens.latex.parse.tokens import Token
from texlens.latex.parse.unicode_characters import COMMAND_OF, PRIMES, SCRIPTS, SUBSCRIPTS

MAX_DEPTH = 150
_LONGEST_EM = 10_000.0
MAX_COLUMNS = 200

SYMBOL_NODES: dict[str, Node] = {token: Symbol(token, *entry) for token, entry in sym.SYMBOLS.items()}
SYMBOL_NODES |= {token: Space(token, width) for token, width in sym.SPACES.items()}
SYMBOL_NODES |= {token: StyleChange(token, style) for token, style in sym.STYLE_SWITCHES.items()}
SYMBOL_NODES |= {token: FontSwitch(token, alphabet) for token, alphabet in sym.FONT_SWITCHES.items()}
SYMBOL_NODES |= {token: Operator(token, token[1:], False) for token in sym.FUNCTIONS}
SYMBOL_NODES |= {token: Operator(token, name, True) for token, name in sym.LIMIT_FUNCTIONS.items()}
for _token in ("\\iff", "\\implies", "\\impliedby"):
    _thick = Space("\\;", 5 / 18)
    SYMBOL_NODES[_token] = Macro(_token, (), Row((_thick, SYMBOL_NODES[_token], _thick)))
del SYMBOL_NODES["\\dots"]  # depends on what follows
SYMBOL_NODES["\\bmod"] = Classed("\\bmod", Operator("\\bmod", "mod", False), "bin")
_DRAWN_AS_TWO = frozenset(["\\ne", "\\neq", "\\notin"])
_NO_BASE = (Scripts, Space, StyleChange, FontSwitch)
_EMPTY = Row((), braced=True)
_PRIME = Symbol("\\prime", "′", "ord")

_PRIMES = {"'": 1, **PRIMES}
_LIMITS = ("\\limits", "\\nolimits", "\\displaylimits")
_SCRIPT_TOKENS = frozenset(["^", "_", "\\sp", "\\sb", *_LIMITS, *_PRIMES, *SCRIPTS, *SUBSCRIPTS])
_NEW_ROW = frozenset(["\\\\", "\\cr", "\\tabularnewline", "\\crcr"])
_CELL_STOPS = _NEW_ROW | {"&"}
_LINES = frozenset(["\\hline", "\\toprule", "\\midrule", "\\bottomrule"])
_DASHED_LINE = "\\hdashline"
_PARTIAL_LINES = ("\\cline", "\\cmidrule", "\\cdashline")
_BETWEEN_ROWS = _LINES | {_DASHED_LINE, *_PARTIAL_LINES, "\\intertext", "\\shortintertext"}
_COLUMN_RANGE = re.compile(r"\s*(\d{1,3})\s*-\s*(\d{1,3})\s*")
_DIVISIONS: dict[str, tuple[bool, str | None, str | None]] = {
    "\\over": (True, None, None),
    "\\atop": (False, None, None),
    "\\above": (True, None, None),
    "\\choose": (False, "(", ")"),
    "\\brace": (False, "\\{", "\\}"),
    "\\brack": (False, "[", "]"),
    "\\overwithdelims": (True, "?", "?"),
    "\\atopwithdelims": (False, "?", "?"),
    "\\abovewithdelims": (True, "?", "?"),
}
DIMENSION = re.compile(r"\s*([-+]?)\s*(\d*[.,]?\d*)\s*(?:true)?\s*([a-z]{2})?")
_STRETCH = re.compile(r"\s*(?:plus|minus)\s*[-\d.]*\s*[a-z]{2,5}")
_ROW_GAP = re.compile(
    r"\s*\*?\s*\[\s*[-+]?[\d.,]*\s*(?:[a-z]{2}|\\[A-Za-z]+)(?:\s*(?:plus|minus)\s*[-\d.]*\s*[a-z]{2,5})*\s*\]"
)


class TableBody(NamedTuple):
    """Cells by rows, and the rules before rows (see `Matrix`)."""

    rows: tuple[tuple[Node, ...], ...]
    lines: tuple[int, ...]
    partial_lines: tuple[tuple[int, int, int], ...]


CellReader = Callable[["Parser", int, frozenset[str]], Node]
"""Reads the cell of a column up to one of the given tokens, which is left."""


class Parser:
    """Recursive descent over the tokens; `i` is the next one."""

    __slots__ = ("commands", "depth", "formula", "i", "stops", "texts", "tokens")

    def __init__(self, formula: str, tokens: list[Token], commands: Mapping[str, "Handler"]):
        self.formula = formula
        self.commands = commands
        self.tokens = tokens
        self.texts = [token.text for token in tokens] + [""]
        self.i = 0
        self.depth = 0
        self.stops: frozenset[str] = frozenset()

    def formula_row(self) -> Row:
        row = self.lines("")
        if self.texts[self.i]:
            raise self.error(f"`{self.texts[self.i]}` closes nothing that is open; remove it, or add its `{{`")
        return row

    def error(self, message: str, at: int | None = None) -> LatexError:
        at = self.i if at is None else at
        position = self.tokens[at].start if at < len(self.tokens) else len(self.formula)
        return LatexError(f"{message}, at character {position}", position)

    def before_operator(self) -> bool:
        r"""Whether the next token is one before which amsmath's `\dots` is centered."""
        text = self.texts[self.i]
        node = SYMBOL_NODES.get(text)
        if isinstance(node, Symbol):
            return node.atom in ("bin", "rel", "op") and text not in _DRAWN_AS_TWO
        return isinstance(node, Macro) or text == "\\not"

    # Lists

    def items(self, stops: frozenset[str], divisible: bool = True) -> list[Node]:
        """Nodes up to a token of `stops`, to `}` or to the end; the token that ends them is left."""
        outer, self.stops = self.stops, stops
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(f"more than {MAX_DEPTH} levels of nesting")
        items: list[Node] = []
        texts = self.texts
        while True:
            text = texts[self.i]
            if text in stops or text == "}" or text == "":
                break
            symbol = SYMBOL_NODES.get(text)
            if symbol is not None:
                self.i += 1
                items.append(symbol)
            elif text in _SCRIPT_TOKENS:
                items.append(self._scripts(items))
            elif text in _DIVISIONS:
                if not divisible:
                    raise self.error(f"a second `{text}` in one group; put braces around the first")
                items = [self._division(items, stops)]
            else:
                node = self.command(text)
                if node is not None:
                    items.append(node)
        self.depth -= 1
        self.stops = outer
        return items

    def _division(self, above: list[Node], stops: frozenset[str]) -> Fraction:
        source = self.texts[self.i]
        self.i += 1
        has_rule, left, right = _DIVISIONS[source]
        if left == "?":
            left, right = self.delimiter(source), self.delimiter(source)
        thickness = self.dimension() if source.startswith("\\above") else None
        has_rule = has_rule and thickness != 0
        fonts = tuple(item for item in above if isinstance(item, FontSwitch))
        below = fonts + tuple(self.items(stops, divisible=False))
        return Fraction(source, Row(tuple(above)), Row(below), has_rule, left, right, None, thickness)

    def _scripts(self, items: list[Node]) -> Scripts:
        base = items.pop() if items and not isinstance(items[-1], _NO_BASE) else None
        sub = sup = limits = None
        primes: tuple[Node, ...] = ()
        while (text := self.texts[self.i]) in _SCRIPT_TOKENS:
            if text in _LIMITS:
                limits = text
                self.i += 1
            elif text in _PRIMES and sup is None:
                primes += (_PRIME,) * _PRIMES[text]
                self.i += 1
            elif sup is None and (text in ("^", "\\sp") or text in SCRIPTS):
                sup = self._script(text, SCRIPTS)
            elif sub is None and (text in ("_", "\\sb") or text in SUBSCRIPTS):
                sub = self._script(text, SUBSCRIPTS)
            else:
                break
        if primes:
            more = () if sup is None else sup.items if isinstance(sup, Row) else (sup,)
            sup = Row(primes + more, braced=True)
        return Scripts(base, sub, sup, limits)

    def _script(self, text: str, typed: Mapping[str, str]) -> Node:
        """The argument of `^` or `_`, or the typed script characters from here on (`²`)."""
        if text not in typed:
            self.i += 1
            return self.argument(text)
        letters = []
        while self.texts[self.i] in typed:
            letters.append(SYMBOL_NODES[typed[self.texts[self.i]]])
            self.i += 1
        return Row(tuple(letters), braced=True)

    # Arguments

    def argument(self, command: str) -> Node:
        """What a command applies to: a group in braces, or the next atom."""
        text = self.texts[self.i]
        if text == "{":
            return self.group()
        symbol = SYMBOL_NODES.get(text)
        if symbol is not None:
            self.i += 1
            return symbol
        if text == "" or text == "}" or text in _CELL_STOPS or text == "\\right" or text.startswith("\\end{"):
            raise self.error(f"`{command}` lacks its argument")
        if text in _SCRIPT_TOKENS:
            if text in _PRIMES:
                self.i += 1
                return _PRIME if _PRIMES[text] == 1 else Row((_PRIME,) * _PRIMES[text], braced=True)
            raise self.error(f"`{command}` is followed by `{text}`; put braces around its argument")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(f"more than {MAX_DEPTH} levels of nesting")
        node = self.command(text)
        self.depth -= 1
        return _EMPTY if node is None else node

    def group(self) -> Row:
        opened = self.i
        self.i += 1
        items = self.items(frozenset())
        if self.texts[self.i] != "}":
            raise self.error("`{` is never closed", opened)
        self.i += 1
        return Row(tuple(items), braced=True)

    def optional(self) -> Node | None:
        """`[…]` where it is there."""
        if self.texts[self.i] != "[":
            return None
        opened = self.i
        self.i += 1
        items = self.items(frozenset("]"))
        if self.texts[self.i] != "]":
            raise self.error("`[` is never closed", opened)
        self.i += 1
        return Row(tuple(items), braced=True)

    def raw_optional(self) -> str | None:
        """The source text of `[…]`, or None where there is no option."""
        if self.texts[self.i] != "[":
            return None
        opened, level = self.i, 0
        while self.texts[self.i]:
            level += {"{": 1, "}": -1}.get(self.texts[self.i], 0)
            self.i += 1
            if level == 0 and self.texts[self.i] == "]":
                self.i += 1
                return self.formula[self.tokens[opened].end : self.tokens[self.i - 1].start]
        raise self.error("`[` is never closed", opened)

    def letter_option(self, letters: str) -> str:
        """`[t]` and the like, consumed, where it is exactly one of the letters; else the bracket is ink."""
        option = self.texts[self.i : self.i + 3]
        if len(option) < 3 or option[0] != "[" or option[1] not in tuple(letters) or option[2] != "]":
            return ""
        self.i += 3
        return option[1]

    def raw(self, command: str) -> str:
        """The source text of a group in braces, or the next token."""
        if self.texts[self.i] in ("", "}"):
            raise self.error(f"`{command}` lacks its argument")
        if self.texts[self.i] != "{":
            self.i += 1
            return self.texts[self.i - 1]
        opened, level = self.i, 0
        while self.texts[self.i]:
            level += {"{": 1, "}": -1}.get(self.texts[self.i], 0)
            self.i += 1
            if level == 0:
                return self.formula[self.tokens[opened].end : self.tokens[self.i - 1].start]
        raise self.error(f"the argument of `{command}` is never closed", opened)

    def delimiter(self, command: str) -> str:
        text = self.texts[self.i]
        if text == "" or text == "}":
            raise self.error(f"`{command}` needs a delimiter")
        if text == "{" and self.texts[self.i + 1] in sym.DELIMITERS and self.texts[self.i + 2 : self.i + 3] == ["}"]:
            self.i += 3
            return self.texts[self.i - 2]
        if text not in sym.DELIMITERS and text not in _DELIMITER_CHARACTERS:
            raise self.error(f"`{command}` needs a delimiter, not `{text}`")
        self.i += 1
        return text

    def dimension(self) -> float:
        """A length written without braces, in em; what TeX lets follow (`plus 1fil`) is passed over."""
        if self.i >= len(self.tokens):
            return 0.0
        start = self.tokens[self.i].start
        match = DIMENSION.match(self.formula, start)
        assert match is not None
        end = match.end()
        while (more := _STRETCH.match(self.formula, end)) is not None:
            end = more.end()
        while self.i < len(self.tokens) and self.tokens[self.i].start < end:
            self.i += 1
        return length_em(match)

    def braced_dimension(self, command: str) -> float:
        match = DIMENSION.match("".join(self.raw(command).split()))
        assert match is not None
        return length_em(match)

    # Commands

    def command(self, text: str) -> Node | None:
        """The node of a token that is not a plain symbol; None where it leaves no mark."""
        if text == "{":
            return self.group()
        handler = self.commands.get(text)
        if handler is not None:
            self.i += 1
            return handler(self, text)
        if text[0] == "\\":
            if text.startswith("\\begin{"):
                return self.environment(text[7:-1])
            raise self.error(_unknown(text))
        return self._character(text)

    def _character(self, text: str) -> Node:
        if text in "$#&" or not text.isprintable():
            raise self.error(_out_of_place(text))
        self.i += 1
        known = COMMAND_OF.get(text)
        if known is None:
            return Symbol(text, text, sym.atom_of_character(text))
        token, alphabet, is_bold = known
        node = SYMBOL_NODES[token]
        if is_bold:
            return FontChange("\\boldsymbol", "bold", node)
        return FontChange(f"\\math{alphabet}", alphabet, node) if alphabet else node

    # Environments and rows of cells

    def environment(self, name: str) -> Node:
        opened = self.i
        self.i += 1
        closing = f"\\end{{{name}}}"
        if name in sym.TRANSPARENT_ENVIRONMENTS:
            node: Node = self.lines(closing)
        else:
            handler = self.commands.get("\\begin")
            if handler is None or name not in sym.ENVIRONMENTS:
                raise self.error(_unknown_environment(name), opened)
            node = handler(self, name) or _EMPTY
        if self.texts[self.i] != closing:
            raise self.error(f"`\\begin{{{name}}}` is never closed", opened)
        self.i += 1
        return node

    def rows(self, closing: str, read_cell: CellReader | None = None) -> TableBody:
        """Cells up to `closing`, which is left."""
        stops = _CELL_STOPS | {closing}
        rows: list[tuple[Node, ...]] = []
        lines: list[int] = []
        partial: list[tuple[int, int, int]] = []
        cells: list[Node] = []
        while True:
            while not cells and self.texts[self.i] in _BETWEEN_ROWS:
                self._between_rows(rows, lines, partial)
            cells.append(read_cell(self, len(cells), stops) if read_cell else Row(tuple(self.items(stops))))
            text = self.texts[self.i]
            if text == "&":
                self.i += 1
                continue
            rows.append(tuple(cells))
            if text not in _NEW_ROW:
                break
            cells = []
            self._skip_row_gap()
        if rows[-1] == (Row(()),):
            rows.pop()
        return TableBody(tuple(rows), tuple(lines), tuple(partial))

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
        if text in _PARTIAL_LINES:
            if self.texts[self.i] == "(":
                while self.texts[self.i] not in ("", "{"):
                    self.i += 1
            columns = _COLUMN_RANGE.fullmatch(self.raw(text))
            if columns is None:
                raise self.error(f"`{text}` needs columns such as `{{1-2}}`")
            partial.append((len(rows), int(columns[1]) - 1, int(columns[2]) - 1))
        elif text == _DASHED_LINE:
            self.raw_optional()
            lines.append(-1 - len(rows))
        else:
            lines.append(len(rows))

    def _skip_row_gap(self) -> None:
        r"""Past `\\`, its `*` and its `[2pt]`."""
        match = _ROW_GAP.match(self.formula, self.tokens[self.i].end)
        self.i += 1
        while match and self.i < len(self.tokens) and self.tokens[self.i].start < match.end():
            self.i += 1
        if not match and self.texts[self.i] == "*" and self.texts[self.i - 1] == "\\\\":
            self.i += 1

    def lines(self, closing: str) -> Row:
        """A formula that may hold `&` and line ends outside of any environment."""
        rows, lines, partial = self.rows(closing)
        if not rows and not lines:
            return Row(())
        if len(rows) == 1 and len(rows[0]) == 1 and not (lines or partial):
            only = rows[0][0]
            assert isinstance(only, Row)
            return only
        columns = "rl" if any(len(row) > 1 for row in rows) else "c"
        return Row((Matrix("aligned", rows, columns, lines, implied=True, partial_lines=partial),))


def length_em(match: re.Match[str]) -> float:
    sign, number, unit = match.groups()
    digits = number.replace(",", ".")
    value = float(digits) if any(d.isdecimal() for d in digits) and digits.isascii() else 0.0
    length = min(value * sym.UNITS_EM.get(unit or "", 0.0), _LONGEST_EM)
    return -length if sign == "-" else length


_DELIMITER_CHARACTERS = frozenset(character for character in sym.DELIMITERS.values() if character)

Handler = Callable[[Parser, str], Node | None]


# What a refusal says

_REMEDIES = {
    "\\\\": r"`\\` ends a line, which is not possible here; use \substack{…} or an environment such as array",
    "\\cr": r"`\cr` ends a line, which is not possible here; use \substack{…} or an environment such as array",
    "\\middle": r"`\middle` is not directly between `\left` and `\right`; move it there, or write \big|",
    "\\right": r"`\right` has no `\left` in this group; add one, or remove it",
    "\\ce": r"chemical formulas in `\ce` can't be read; write them in math, such as \mathrm{H_2O}",
    "\\pu": r"quantities in `\pu` can't be read; write them in math, such as 5\,\mathrm{m}",
    "\\xymatrix": r"`\xymatrix` is a diagram, which can't be drawn; write it as an array with arrows",
    "\\of": r"`\of` belongs to `\root`; write \sqrt[n]{x}",
}
_REMEDIES |= dict.fromkeys(
    ("\\footnote", "\\thanks", "\\footnotemark"), "a footnote has text outside of the formula; remove it"
)
_REMEDIES |= {token: f"`{token}` is only possible at the start of a line of a table" for token in _BETWEEN_ROWS}
_DIAGRAMS = frozenset(["CD", "tikzcd", "tikzpicture", "picture", "xy", "diagram"])


def _unknown(text: str) -> str:
    if text.startswith("\\end{"):
        return f"`{text}` closes nothing that is open"
    return _REMEDIES.get(text, f"unknown command `{text}`")


def _unknown_environment(name: str) -> str:
    if name in _DIAGRAMS:
        return f"environment `{name}` is a diagram, which can't be drawn; write it as an array with arrows"
    return f"unknown environment `{name}`"


def _out_of_place(text: str) -> str:
    if text.isprintable():
        return f"`{text}` does not belong here; write \\{text} for the character"
    name = unicodedata.name(text, "control character").lower()
    return f"invisible character U+{ord(text):04X} ({name}); remove it"
