"""TeX's lists in math mode: atoms, groups, scripts, divisions and arguments."""

from collections.abc import Callable, Mapping

from texlens.latex.parse import symbols as sym
from texlens.latex.parse.nodes import (
    FontChange,
    FontSwitch,
    Fraction,
    Macro,
    Node,
    Row,
    Scripts,
    Space,
    StyleChange,
    Symbol,
)
from texlens.latex.parse.refusals import out_of_place, unknown_command
from texlens.latex.parse.symbol_nodes import (
    CELL_STOPS,
    DIVISIONS,
    EMPTY,
    LIMITS,
    PRIME,
    PRIMES,
    SCRIPT_TOKENS,
    SYMBOL_NODES,
)
from texlens.latex.parse.token_reader import TokenReader
from texlens.latex.parse.tokens import Token
from texlens.latex.parse.unicode_characters import COMMAND_OF, SCRIPTS, SUBSCRIPTS

MAX_DEPTH = 150
_DRAWN_AS_TWO = frozenset(["\\ne", "\\neq", "\\notin"])
_NO_BASE = (Scripts, Space, StyleChange, FontSwitch)


class ListParser(TokenReader):
    """Recursive descent over lists; environments are read by `Parser`."""

    __slots__ = ("commands", "depth", "stops")

    def __init__(self, formula: str, tokens: list[Token], commands: Mapping[str, Callable]):
        super().__init__(formula, tokens)
        self.commands = commands
        self.depth = 0
        self.stops: frozenset[str] = frozenset()

    def environment(self, name: str) -> Node:
        raise NotImplementedError

    def before_operator(self) -> bool:
        r"""Whether the next token is one before which amsmath's `\dots` is centered."""
        text = self.texts[self.i]
        node = SYMBOL_NODES.get(text)
        if isinstance(node, Symbol):
            return node.atom in ("bin", "rel", "op") and text not in _DRAWN_AS_TWO
        return isinstance(node, Macro) or text == "\\not"

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
            elif text in SCRIPT_TOKENS:
                items.append(self._scripts(items))
            elif text in DIVISIONS:
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
        has_rule, left, right = DIVISIONS[source]
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
        while (text := self.texts[self.i]) in SCRIPT_TOKENS:
            if text in LIMITS:
                limits = text
                self.i += 1
            elif text in PRIMES and sup is None:
                primes += (PRIME,) * PRIMES[text]
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
        if text == "" or text == "}" or text in CELL_STOPS or text == "\\right" or text.startswith("\\end{"):
            raise self.error(f"`{command}` lacks its argument")
        if text in SCRIPT_TOKENS:
            if text in PRIMES:
                self.i += 1
                return PRIME if PRIMES[text] == 1 else Row((PRIME,) * PRIMES[text], braced=True)
            raise self.error(f"`{command}` is followed by `{text}`; put braces around its argument")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(f"more than {MAX_DEPTH} levels of nesting")
        node = self.command(text)
        self.depth -= 1
        return EMPTY if node is None else node

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
            raise self.error(unknown_command(text))
        return self._character(text)

    def _character(self, text: str) -> Node:
        if text in "$#&" or not text.isprintable():
            raise self.error(out_of_place(text))
        self.i += 1
        known = COMMAND_OF.get(text)
        if known is None:
            return Symbol(text, text, sym.atom_of_character(text))
        token, alphabet, is_bold = known
        node = SYMBOL_NODES[token]
        if is_bold:
            return FontChange("\\boldsymbol", "bold", node)
        return FontChange(f"\\math{alphabet}", alphabet, node) if alphabet else node
