"""TeX's grammar in math mode: lists, groups, scripts, arguments, lengths and tables.

The commands are in the table of `commands`, which a `Parser` receives.
"""

import re
from collections.abc import Callable, Mapping

from texlens.core.errors import LatexError
from texlens.latex.parse import symbols as sym
from texlens.latex.parse.nodes import (
    Classed,
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

MAX_DEPTH = 150
_LONGEST_EM = 10_000.0
MOST_COLUMNS = 200

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

_SCRIPT_TOKENS = frozenset(["^", "_", "'", "\\sp", "\\sb", "\\limits", "\\nolimits", "\\displaylimits"])
_NEW_ROW = frozenset(["\\\\", "\\cr", "\\tabularnewline", "\\crcr"])
_CELL_STOPS = _NEW_ROW | {"&"}
_LINES = frozenset(["\\hline", "\\hdashline", "\\toprule", "\\midrule", "\\bottomrule"])
_DIVISIONS: dict[str, tuple[bool, str | None, str | None]] = {
    "\\over": (True, None, None),
    "\\atop": (False, None, None),
    "\\above": (True, None, None),
    "\\choose": (False, "(", ")"),
    "\\brace": (False, "\\{", "\\}"),
    "\\brack": (False, "[", "]"),
    "\\overwithdelims": (True, "?", "?"),
    "\\atopwithdelims": (False, "?", "?"),
}
DIMENSION = re.compile(r"\s*([-+]?)\s*(\d*[.,]?\d*)\s*(?:true)?\s*([a-z]{2})?")
_ROW_GAP = re.compile(r"\s*\*?\s*\[\s*[-+]?[\d.]*\s*[a-z]{2}\s*\]")


class Parser:
    """Recursive descent over the tokens; `i` is the next one."""

    __slots__ = ("commands", "depth", "formula", "i", "texts", "tokens")

    def __init__(self, formula: str, tokens: list[Token], commands: Mapping[str, "Handler"]):
        self.formula = formula
        self.commands = commands
        self.tokens = tokens
        self.texts = [token.text for token in tokens] + [""]
        self.i = 0
        self.depth = 0

    def formula_row(self) -> Row:
        row = self.lines("")
        if self.texts[self.i]:
            raise self.error(f"`{self.texts[self.i]}` has no partner")
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
                made = self.command(text)
                if made is not None:
                    items.append(made)
        self.depth -= 1
        return items

    def _division(self, above: list[Node], stops: frozenset[str]) -> Fraction:
        source = self.texts[self.i]
        self.i += 1
        has_rule, left, right = _DIVISIONS[source]
        if left == "?":
            left, right = self.delimiter(source), self.delimiter(source)
        if source == "\\above":
            has_rule = self.dimension() != 0
        fonts = tuple(item for item in above if isinstance(item, FontSwitch))
        below = fonts + tuple(self.items(stops, divisible=False))
        return Fraction(source, Row(tuple(above)), Row(below), has_rule, left, right)

    def _scripts(self, items: list[Node]) -> Scripts:
        base = items.pop() if items and not isinstance(items[-1], _NO_BASE) else None
        sub = sup = limits = None
        primes = 0
        while self.texts[self.i] in _SCRIPT_TOKENS:
            text = self.texts[self.i]
            if text == "'":
                if sup is not None:
                    break
                primes += 1
                self.i += 1
            elif text in ("^", "\\sp"):
                if sup is not None:
                    break
                self.i += 1
                sup = self.argument(text)
            elif text in ("_", "\\sb"):
                if sub is not None:
                    break
                self.i += 1
                sub = self.argument(text)
            else:
                limits = text
                self.i += 1
        if primes:
            more = () if sup is None else sup.items if isinstance(sup, Row) else (sup,)
            sup = Row((_PRIME,) * primes + more, braced=True)
        return Scripts(base, sub, sup, limits)

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
            if text == "'":
                self.i += 1
                return _PRIME
            raise self.error(f"`{command}` is followed by `{text}`; put braces around its argument")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(f"more than {MAX_DEPTH} levels of nesting")
        made = self.command(text)
        self.depth -= 1
        return _EMPTY if made is None else made

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
        stretch = re.compile(r"\s*(?:plus|minus)\s*[-\d.]*\s*[a-z]{2,5}")
        while (more := stretch.match(self.formula, end)) is not None:
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
            raise self.error(
                f"`{text}` closes nothing that is open" if text.startswith("\\end{") else f"unknown command `{text}`"
            )
        return self._character(text)

    def _character(self, text: str) -> Node:
        if text in "$#&" or not text.isprintable():
            raise self.error(f"`{text}` does not belong here" if text.isprintable() else f"character {ord(text)}")
        self.i += 1
        return Symbol(text, text, sym.atom_of_character(text))

    # Matrices

    def environment(self, name: str) -> Node:
        opened = self.i
        self.i += 1
        closing = f"\\end{{{name}}}"
        if name in sym.TRANSPARENT_ENVIRONMENTS:
            made: Node = self.lines(closing)
        elif name in sym.ENVIRONMENTS:
            made = self._matrix(name, closing)
        else:
            raise self.error(f"unknown environment `{name}`", opened)
        if self.texts[self.i] != closing:
            raise self.error(f"`\\begin{{{name}}}` is never closed", opened)
        self.i += 1
        return made

    def _matrix(self, name: str, closing: str) -> Matrix:
        columns = sym.ENVIRONMENTS[name][2]
        if self.texts[self.i] == "[" and name not in ("cases", "gathered"):
            self.optional()
        if columns == "" or name.startswith("IEEE"):
            if self.texts[self.i] == "[":
                self.optional()
            columns = column_letters(self.raw(f"\\begin{{{name}}}"))
        elif "alignat" in name or name == "alignedat":
            self.raw(f"\\begin{{{name}}}")
        rows, lines = self.rows(closing)
        return Matrix(name, rows, columns, lines)

    def rows(self, closing: str) -> tuple[tuple[tuple[Node, ...], ...], tuple[int, ...]]:
        """Cells up to `closing`, which is left, and the rows that a rule goes before."""
        stops = _CELL_STOPS | {closing}
        rows: list[tuple[Node, ...]] = []
        lines: list[int] = []
        cells: list[Node] = []
        while True:
            while not cells and self.texts[self.i] in _LINES:
                lines.append(len(rows))
                self.i += 1
            cells.append(Row(tuple(self.items(stops))))
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
        return tuple(rows), tuple(lines)

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
        rows, _ = self.rows(closing)
        if not rows:
            return Row(())
        if len(rows) == 1 and len(rows[0]) == 1:
            only = rows[0][0]
            assert isinstance(only, Row)
            return only
        return Row((Matrix("aligned", rows, "rl" if any(len(row) > 1 for row in rows) else "c", implied=True),))


def length_em(match: re.Match[str]) -> float:
    sign, number, unit = match.groups()
    digits = number.replace(",", ".")
    value = float(digits) if any(d.isdecimal() for d in digits) and digits.isascii() else 0.0
    length = min(value * sym.UNITS_EM.get(unit or "", 0.0), _LONGEST_EM)
    return -length if sign == "-" else length


def column_letters(specification: str) -> str:
    """`l`, `c`, `r` and `|` of an array's column specification; `@{…}` is dropped, `p{…}` and `X` are `l`."""
    bare = re.sub(r"[@!><]\s*\{[^{}]*\}", "", specification)
    bare = re.sub(r"\*\s*\{?\s*(\d{1,2})\s*\}?\s*\{([^{}]*)\}", lambda m: m[2] * int(m[1]), bare)
    bare = re.sub(r"[pmbX]\s*(\{[^{}]*\})?", "l", bare)
    return "".join(letter for letter in bare if letter in "lcr|")[:MOST_COLUMNS]


_DELIMITER_CHARACTERS = frozenset(character for character in sym.DELIMITERS.values() if character)

Handler = Callable[[Parser, str], Node | None]
