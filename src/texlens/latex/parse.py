"""LaTeX math to a tree of nodes, as TeX reads it; no macro is ever expanded.

A hostile formula is refused quickly: the number of tokens and the depth of nesting are bounded, and the work is linear.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable

from texlens.core.errors import LatexError
from texlens.latex import symbols as sym
from texlens.latex.nodes import (
    Accent,
    Arrow,
    Bar,
    Big,
    Boxed,
    Classed,
    Delimited,
    FontChange,
    FontSwitch,
    Fraction,
    Macro,
    Matrix,
    Middle,
    Multicolumn,
    Negated,
    Node,
    Operator,
    Phantom,
    Radical,
    Raised,
    Row,
    Scripts,
    Space,
    Stack,
    Stretch,
    StyleChange,
    Symbol,
    Text,
)
from texlens.latex.tokens import Token, scan

MAX_TOKENS = 20_000
MAX_CHARACTERS = 400_000
MAX_DEPTH = 150
_LONGEST_EM = 10_000.0
_MOST_COLUMNS = 200

_SYMBOL_NODES: dict[str, Node] = {token: Symbol(token, *entry) for token, entry in sym.SYMBOLS.items()}
_SYMBOL_NODES |= {token: Space(token, width) for token, width in sym.SPACES.items()}
_SYMBOL_NODES |= {token: StyleChange(token, style) for token, style in sym.STYLE_SWITCHES.items()}
_SYMBOL_NODES |= {token: FontSwitch(token, alphabet) for token, alphabet in sym.FONT_SWITCHES.items()}
_SYMBOL_NODES |= {token: Operator(token, token[1:], False) for token in sym.FUNCTIONS}
_SYMBOL_NODES |= {token: Operator(token, name, True) for token, name in sym.LIMIT_FUNCTIONS.items()}
for _token in ("\\iff", "\\implies", "\\impliedby"):
    _thick = Space("\\;", 5 / 18)
    _SYMBOL_NODES[_token] = Macro(_token, (), Row((_thick, _SYMBOL_NODES[_token], _thick)))
_SYMBOL_NODES["\\bmod"] = Classed("\\bmod", Operator("\\bmod", "mod", False), "bin")
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
_FRACTIONS: dict[str, tuple[bool, str | None, str | None, int | None]] = {
    "\\frac": (True, None, None, None),
    "\\dfrac": (True, None, None, 0),
    "\\tfrac": (True, None, None, 2),
    "\\cfrac": (True, None, None, 0),
    "\\nicefrac": (True, None, None, 2),
    "\\sfrac": (True, None, None, 2),
    "\\binom": (False, "(", ")", None),
    "\\dbinom": (False, "(", ")", 0),
    "\\tbinom": (False, "(", ")", 2),
}
_PHANTOMS = {
    "\\phantom": (False, "whd", "l"),
    "\\hphantom": (False, "w", "l"),
    "\\vphantom": (False, "hd", "l"),
    "\\smash": (True, "w", "l"),
    "\\rlap": (True, "hd", "l"),
    "\\llap": (True, "hd", "r"),
    "\\clap": (True, "hd", "c"),
    "\\mathrlap": (True, "hd", "l"),
    "\\mathllap": (True, "hd", "r"),
    "\\mathclap": (True, "hd", "c"),
}
_CLASSED = {"\\math" + atom: atom for atom in ("ord", "bin", "rel", "open", "close", "punct", "inner")}
_BRACKETED = {"\\bra": ("\\langle", "|"), "\\ket": ("|", "\\rangle"), "\\abs": ("|", "|"), "\\norm": ("\\|", "\\|")}
_BRACKETED |= {"\\braket": ("\\langle", "\\rangle"), "\\set": ("\\{", "\\}")}
_DIMENSION = re.compile(r"\s*([-+]?)\s*(\d*[.,]?\d*)\s*(?:true)?\s*([a-z]{2})?")
_ROW_GAP = re.compile(r"\s*\*?\s*\[\s*[-+]?[\d.]*\s*[a-z]{2}\s*\]")
_MATH_FENCES = frozenset(["$", "\\[", "\\]", "\\(", "\\)"])


def parse(formula: str) -> Row:
    r"""The tree of a formula in math mode, with or without `$…$`, `\[…\]` or an `equation` around it.

    Raises:
        LatexError: unbalanced braces, an unknown command or environment, or more than `MAX_TOKENS` tokens or
            `MAX_DEPTH` levels; with the character where it went wrong.
    """
    if len(formula) > MAX_CHARACTERS:
        raise LatexError(
            f"the formula has {len(formula)} characters; at most {MAX_CHARACTERS} are read", MAX_CHARACTERS
        )
    tokens = scan(formula)
    if len(tokens) > MAX_TOKENS:
        raise LatexError(
            f"the formula has {len(tokens)} tokens; at most {MAX_TOKENS} are read", tokens[MAX_TOKENS].start
        )
    return _Parser(formula, _strip_fences(tokens)).formula_row()


def _strip_fences(tokens: list[Token]) -> list[Token]:
    start, end = 0, len(tokens)
    while start < end and tokens[start].text in _MATH_FENCES:
        start += 1
    while end > start and tokens[end - 1].text in _MATH_FENCES:
        end -= 1
    return tokens[start:end]


class _Parser:
    """Recursive descent over the tokens; `i` is the next one."""

    __slots__ = ("depth", "formula", "i", "texts", "tokens")

    def __init__(self, formula: str, tokens: list[Token]):
        self.formula = formula
        self.tokens = tokens
        self.texts = [token.text for token in tokens] + [""]
        self.i = 0
        self.depth = 0

    def formula_row(self) -> Row:
        row = self._lines("")
        if self.texts[self.i]:
            raise self._error(f"`{self.texts[self.i]}` has no partner")
        return row

    def _error(self, message: str, at: int | None = None) -> LatexError:
        at = self.i if at is None else at
        position = self.tokens[at].start if at < len(self.tokens) else len(self.formula)
        return LatexError(f"{message}, at character {position}", position)

    # Lists

    def _items(self, stops: frozenset[str], divisible: bool = True) -> list[Node]:
        """Nodes up to a token of `stops`, to `}` or to the end; the token that ends them is left."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self._error(f"more than {MAX_DEPTH} levels of nesting")
        items: list[Node] = []
        texts = self.texts
        while True:
            text = texts[self.i]
            if text in stops or text == "}" or text == "":
                break
            symbol = _SYMBOL_NODES.get(text)
            if symbol is not None:
                self.i += 1
                items.append(symbol)
            elif text in _SCRIPT_TOKENS:
                items.append(self._scripts(items))
            elif text in _DIVISIONS:
                if not divisible:
                    raise self._error(f"a second `{text}` in one group; put braces around the first")
                items = [self._division(items, stops)]
            else:
                made = self._command(text)
                if made is not None:
                    items.append(made)
        self.depth -= 1
        return items

    def _division(self, above: list[Node], stops: frozenset[str]) -> Fraction:
        source = self.texts[self.i]
        self.i += 1
        has_rule, left, right = _DIVISIONS[source]
        if left == "?":
            left, right = self._delimiter(source), self._delimiter(source)
        if source == "\\above":
            has_rule = self._dimension() != 0
        fonts = tuple(item for item in above if isinstance(item, FontSwitch))
        below = fonts + tuple(self._items(stops, divisible=False))
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
                sup = self._argument(text)
            elif text in ("_", "\\sb"):
                if sub is not None:
                    break
                self.i += 1
                sub = self._argument(text)
            else:
                limits = text
                self.i += 1
        if primes:
            more = () if sup is None else sup.items if isinstance(sup, Row) else (sup,)
            sup = Row((_PRIME,) * primes + more, braced=True)
        return Scripts(base, sub, sup, limits)

    # Arguments

    def _argument(self, command: str) -> Node:
        """What a command applies to: a group in braces, or the next atom."""
        text = self.texts[self.i]
        if text == "{":
            return self._group()
        symbol = _SYMBOL_NODES.get(text)
        if symbol is not None:
            self.i += 1
            return symbol
        if text == "" or text == "}" or text in _CELL_STOPS or text == "\\right" or text.startswith("\\end{"):
            raise self._error(f"`{command}` lacks its argument")
        if text in _SCRIPT_TOKENS:
            if text == "'":
                self.i += 1
                return _PRIME
            raise self._error(f"`{command}` is followed by `{text}`; put braces around its argument")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self._error(f"more than {MAX_DEPTH} levels of nesting")
        made = self._command(text)
        self.depth -= 1
        return _EMPTY if made is None else made

    def _group(self) -> Row:
        opened = self.i
        self.i += 1
        items = self._items(frozenset())
        if self.texts[self.i] != "}":
            raise self._error("`{` is never closed", opened)
        self.i += 1
        return Row(tuple(items), braced=True)

    def _optional(self) -> Node | None:
        """`[…]` where it is there."""
        if self.texts[self.i] != "[":
            return None
        opened = self.i
        self.i += 1
        items = self._items(frozenset("]"))
        if self.texts[self.i] != "]":
            raise self._error("`[` is never closed", opened)
        self.i += 1
        return Row(tuple(items), braced=True)

    def _raw(self, command: str) -> str:
        """The text of a group in braces as it stands, or the next token."""
        if self.texts[self.i] in ("", "}"):
            raise self._error(f"`{command}` lacks its argument")
        if self.texts[self.i] != "{":
            self.i += 1
            return self.texts[self.i - 1]
        opened, level = self.i, 0
        while self.texts[self.i]:
            level += {"{": 1, "}": -1}.get(self.texts[self.i], 0)
            self.i += 1
            if level == 0:
                return self.formula[self.tokens[opened].end : self.tokens[self.i - 1].start]
        raise self._error(f"the argument of `{command}` is never closed", opened)

    def _delimiter(self, command: str) -> str:
        text = self.texts[self.i]
        if text == "" or text == "}":
            raise self._error(f"`{command}` needs a delimiter")
        if text == "{" and self.texts[self.i + 1] in sym.DELIMITERS and self.texts[self.i + 2 : self.i + 3] == ["}"]:
            self.i += 3
            return self.texts[self.i - 2]
        if text not in sym.DELIMITERS and text not in _DELIMITER_CHARACTERS:
            raise self._error(f"`{command}` needs a delimiter, not `{text}`")
        self.i += 1
        return text

    def _dimension(self) -> float:
        """A length written without braces, in em; what TeX lets follow (`plus 1fil`) is passed over."""
        if self.i >= len(self.tokens):
            return 0.0
        start = self.tokens[self.i].start
        match = _DIMENSION.match(self.formula, start)
        assert match is not None
        end = match.end()
        stretch = re.compile(r"\s*(?:plus|minus)\s*[-\d.]*\s*[a-z]{2,5}")
        while (more := stretch.match(self.formula, end)) is not None:
            end = more.end()
        while self.i < len(self.tokens) and self.tokens[self.i].start < end:
            self.i += 1
        return _length_em(match)

    def _braced_dimension(self, command: str) -> float:
        match = _DIMENSION.match("".join(self._raw(command).split()))
        assert match is not None
        return _length_em(match)

    # Commands

    def _command(self, text: str) -> Node | None:
        """The node of a token that is not a plain symbol; None where it leaves no mark."""
        if text == "{":
            return self._group()
        handler = _HANDLERS.get(text)
        if handler is not None:
            self.i += 1
            return handler(self, text)
        if text[0] == "\\":
            if text.startswith("\\begin{"):
                return self._environment(text[7:-1])
            raise self._error(
                f"`{text}` closes nothing that is open" if text.startswith("\\end{") else f"unknown command `{text}`"
            )
        return self._character(text)

    def _character(self, text: str) -> Node:
        if text in "$#&" or not text.isprintable():
            raise self._error(f"`{text}` does not belong here" if text.isprintable() else f"character {ord(text)}")
        self.i += 1
        return Symbol(text, text, sym.atom_of_character(text))

    def _ignored(self, text: str) -> None:
        if self.texts[self.i] == "*":
            self.i += 1
        for _ in range(sym.IGNORED[text]):
            self._raw(text)

    def _fraction(self, text: str) -> Node:
        if text == "\\cfrac":
            self._optional()
        has_rule, left, right, style = _FRACTIONS[text]
        return Fraction(text, self._argument(text), self._argument(text), has_rule, left, right, style)

    def _general_fraction(self, text: str) -> Node:
        left, right = (self._raw(text).strip() or None for _ in range(2))
        thickness, style = self._raw(text).strip(), self._raw(text).strip()
        forced = int(style) * 2 if style in ("0", "1", "2", "3") else None
        has_rule = _DIMENSION.sub(r"\2", thickness).strip("0.") != "" or thickness == ""
        left, right = (side if side in sym.DELIMITERS else None for side in (left, right))
        return Fraction(text, self._argument(text), self._argument(text), has_rule, left, right, forced)

    def _radical(self, text: str) -> Node:
        degree = self._optional()
        return Radical(text, self._argument(text), degree)

    def _root_of(self, text: str) -> Node:
        r"""Plain TeX's `\root n \of x`."""
        degree = Row(tuple(self._items(frozenset(["\\of"]))), braced=True)
        if self.texts[self.i] != "\\of":
            raise self._error("`\\root` lacks its `\\of`")
        self.i += 1
        return Radical("\\sqrt", self._argument(text), degree)

    def _delimited(self, text: str) -> Node:
        opened = self.i - 1
        left = self._delimiter(text)
        closing = "\\right" if text == "\\left" else "\\mright"
        body = Row(tuple(self._items(frozenset([closing]))))
        if self.texts[self.i] != closing:
            raise self._error("`\\left` lacks its `\\right`", opened)
        self.i += 1
        return Delimited(left, self._delimiter("\\right"), body)

    def _text(self, text: str) -> Node:
        alphabet = sym.TEXT_COMMANDS[text]
        if text == "\\makebox":
            self._optional()
            self._optional()
        if self.texts[self.i] == "{":
            self.i += 1
            return Text(text, self._text_parts("}"), alphabet)
        return Text(text, (self._argument(text),), alphabet)

    def _text_parts(self, closing: str) -> tuple[str | Node, ...]:
        """Strings and nodes up to `closing`, which is consumed; white space counts here."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self._error(f"more than {MAX_DEPTH} levels of nesting")
        opened = self.i - 1
        parts: list[str | Node] = []
        words: list[str] = []
        while self.texts[self.i] not in ("", closing):
            words.append(self._gap())
            made = self._text_token()
            if isinstance(made, str):
                words.append(made)
            elif made is not None:
                parts += (_typeset_words(words), made)
                words = []
        if not self.texts[self.i]:
            raise self._error("the text is never closed", opened)
        words.append(self._gap())
        self.i += 1
        self.depth -= 1
        return tuple(part for part in (*parts, _typeset_words(words)) if part != "")

    def _gap(self) -> str:
        """A space where the source has white space before the next token that TeX would keep."""
        before, here = self.tokens[self.i - 1], self.tokens[self.i]
        if before.end == here.start or (before.text[0] == "\\" and before.text[-1].isalpha()):
            return ""
        return " " if any(character.isspace() for character in self.formula[before.end : here.start]) else ""

    def _text_token(self) -> str | Node | None:
        text = self.texts[self.i]
        if text == "$" or text == "\\(":
            return self._math_in_text("$" if text == "$" else "\\)")
        if text == "{":
            self.i += 1
            return Text("{", self._text_parts("}"), "")
        if text == "}":
            raise self._error("`}` has no partner")
        if text in sym.FONT_SWITCHES:
            self.i += 1
            return FontSwitch(text, sym.FONT_SWITCHES[text])
        if text in sym.TEXT_ACCENTS:
            return self._text_accent()
        if text in ("~", "\\ ", "\\space", "\\\\"):
            self.i += 1
            return " "
        if len(text) == 1 and text.isprintable():
            self.i += 1
            return text
        if text in sym.SYMBOLS and sym.SYMBOLS[text][1] != "op":
            self.i += 1
            return sym.SYMBOLS[text][0]
        if text in _SYMBOL_NODES:
            self.i += 1
            return _SYMBOL_NODES[text]
        return self._command(text)

    def _text_accent(self) -> str:
        mark = sym.TEXT_ACCENTS[self.texts[self.i]]
        self.i += 1
        letter = self._raw("accent").strip() or " "
        return unicodedata.normalize("NFC", letter[0] + mark) + letter[1:]

    def _math_in_text(self, closing: str) -> Node:
        opened = self.i
        self.i += 1
        items = self._items(frozenset([closing]))
        if self.texts[self.i] != closing:
            raise self._error("math in text is never closed", opened)
        self.i += 1
        return Row(tuple(items))

    def _operator_name(self, text: str) -> Node:
        limits = self.texts[self.i] == "*"
        self.i += limits
        source = text + "*" * limits
        return Operator(source, "", limits, FontChange("\\mathrm", "rm", self._argument(text)))

    def _negated(self, text: str) -> Node:
        return Negated(text, self._argument(text))

    def _modulo(self, text: str) -> Node:
        argument = self._argument(text)
        body: list[Node] = [Space("\\quad", 1.0)]
        if text != "\\mod":
            body.append(_SYMBOL_NODES["("])
        if text != "\\pod":
            body += (Text("\\text", ("mod",), "rm"), Space("\\,", 6 / 18))
        body.append(argument)
        if text != "\\mod":
            body.append(_SYMBOL_NODES[")"])
        return Macro(text, (argument,), Row(tuple(body)))

    def _bracketed(self, text: str) -> Node:
        argument = self._argument(text)
        left, right = (_SYMBOL_NODES[side] for side in _BRACKETED[text])
        return Macro(text, (argument,), Row((Classed("", left, "open"), argument, Classed("", right, "close"))))

    def _tag(self, text: str) -> Node:
        starred = self.texts[self.i] == "*"
        self.i += starred
        content = self._raw(text)
        shown = content if starred else f"({content})"
        words = Text("\\text", (shown,), "rm")
        return Macro(text, (words,), Row((Space("\\qquad", 2.0), words)))

    def _space(self, text: str) -> Node:
        if self.texts[self.i] == "*":
            self.i += 1
        braced = text == "\\hspace" or self.texts[self.i] == "{"
        return Space(text, self._braced_dimension(text) if braced else self._dimension())

    def _bar(self, text: str) -> Node:
        raised = 0.0
        if self.texts[self.i] == "[":
            match = _DIMENSION.match(self.formula, self.tokens[self.i].end)
            raised = _length_em(match) if match else 0.0
            self._optional()
        return Bar(text, self._braced_dimension(text), self._braced_dimension(text), raised)

    def _raised(self, text: str) -> Node:
        sign = -1 if text == "\\lower" else 1
        shift = self._braced_dimension(text) if text == "\\raisebox" else self._dimension()
        if text == "\\raisebox" and self.texts[self.i] == "{":
            self.i += 1
            return Raised(text, Text("\\text", self._text_parts("}"), "rm"), shift)
        return Raised(text, self._argument(text), sign * shift)

    def _coloured(self, text: str) -> Node:
        if self.texts[self.i] == "[":
            self._optional()
        self._raw(text)
        return self._argument(text)

    def _reference(self, text: str) -> Node:
        self._raw(text)
        return Text(text, ("??",), "bf")

    def _chosen(self, text: str) -> Node:
        choices = [self._argument(text) for _ in range(4)]
        return choices[0]

    def _built_relation(self, text: str) -> Node:
        r"""Plain TeX's `\buildrel over \over base`."""
        over = Row(tuple(self._items(frozenset(["\\over"]))), braced=True)
        if self.texts[self.i] != "\\over":
            raise self._error("`\\buildrel` lacks its `\\over`")
        self.i += 1
        return Stack("\\stackrel", self._argument(text), over)

    def _resized(self, text: str) -> Node:
        """The body at its own size: the picture is scaled as a whole anyway."""
        for _ in range(2 if text == "\\resizebox" else 1):
            self._raw(text)
        return self._argument(text)

    def _sideset(self, text: str) -> Node:
        return Row((self._argument(text), self._argument(text)))

    # Matrices

    def _environment(self, name: str) -> Node:
        opened = self.i
        self.i += 1
        closing = f"\\end{{{name}}}"
        if name in sym.TRANSPARENT_ENVIRONMENTS:
            made: Node = self._lines(closing)
        elif name in sym.ENVIRONMENTS:
            made = self._matrix(name, closing)
        else:
            raise self._error(f"unknown environment `{name}`", opened)
        if self.texts[self.i] != closing:
            raise self._error(f"`\\begin{{{name}}}` is never closed", opened)
        self.i += 1
        return made

    def _matrix(self, name: str, closing: str) -> Matrix:
        columns = sym.ENVIRONMENTS[name][2]
        if self.texts[self.i] == "[" and name not in ("cases", "gathered"):
            self._optional()
        if columns == "" or name.startswith("IEEE"):
            if self.texts[self.i] == "[":
                self._optional()
            columns = _column_letters(self._raw(f"\\begin{{{name}}}"))
        elif "alignat" in name or name == "alignedat":
            self._raw(f"\\begin{{{name}}}")
        rows, lines = self._rows(closing)
        return Matrix(name, rows, columns, lines)

    def _plain_matrix(self, text: str) -> Node:
        name, opened = sym.PLAIN_MATRICES[text], self.i
        closing = "}" if self.texts[self.i] == "{" else f"\\end{text[1:]}"
        self.i += closing == "}"
        rows, lines = self._rows(closing)
        if self.texts[self.i] != closing:
            raise self._error(f"`{text}` is never closed", opened)
        self.i += 1
        return Matrix(name, rows, sym.ENVIRONMENTS[name][2], lines)

    def _rows(self, closing: str) -> tuple[tuple[tuple[Node, ...], ...], tuple[int, ...]]:
        """Cells up to `closing`, which is left, and the rows that a rule goes before."""
        stops = _CELL_STOPS | {closing}
        rows: list[tuple[Node, ...]] = []
        lines: list[int] = []
        cells: list[Node] = []
        while True:
            while not cells and self.texts[self.i] in _LINES:
                lines.append(len(rows))
                self.i += 1
            cells.append(Row(tuple(self._items(stops))))
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

    def _lines(self, closing: str) -> Row:
        """A formula that may hold `&` and line ends outside of any environment."""
        rows, _ = self._rows(closing)
        if not rows:
            return Row(())
        if len(rows) == 1 and len(rows[0]) == 1:
            only = rows[0][0]
            assert isinstance(only, Row)
            return only
        return Row((Matrix("aligned", rows, "rl" if any(len(row) > 1 for row in rows) else "c", implied=True),))

    def _multicolumn(self, text: str) -> Node:
        digits = self._raw(text).strip()
        span = min(int(digits), _MOST_COLUMNS) if digits.isdecimal() and len(digits) < 4 else 1
        return Multicolumn(span, _column_letters(self._raw(text)), self._argument(text))


def _length_em(match: re.Match[str]) -> float:
    sign, number, unit = match.groups()
    digits = number.replace(",", ".")
    value = float(digits) if any(d.isdecimal() for d in digits) and digits.isascii() else 0.0
    length = min(value * sym.UNITS_EM.get(unit or "", 0.0), _LONGEST_EM)
    return -length if sign == "-" else length


def _column_letters(specification: str) -> str:
    """`l`, `c`, `r` and `|` of an array's column specification; `@{…}` is dropped, `p{…}` and `X` are `l`."""
    bare = re.sub(r"[@!><]\s*\{[^{}]*\}", "", specification)
    bare = re.sub(r"\*\s*\{?\s*(\d{1,2})\s*\}?\s*\{([^{}]*)\}", lambda m: m[2] * int(m[1]), bare)
    bare = re.sub(r"[pmbX]\s*(\{[^{}]*\})?", "l", bare)
    return "".join(letter for letter in bare if letter in "lcr|")[:_MOST_COLUMNS]


def _typeset_words(words: Iterable[str]) -> str:
    joined = "".join(words)
    for typed, printed in (("---", "—"), ("--", "–"), ("``", "“"), ("''", "”"), ("`", "‘"), ("'", "’")):
        joined = joined.replace(typed, printed)
    return joined


_DELIMITER_CHARACTERS = frozenset(character for character in sym.DELIMITERS.values() if character)

_Handler = Callable[[_Parser, str], Node | None]


def _handlers() -> dict[str, _Handler]:
    table: dict[str, _Handler] = dict.fromkeys(sym.IGNORED, _Parser._ignored)
    table |= dict.fromkeys(_FRACTIONS, _Parser._fraction)
    table |= dict.fromkeys(sym.TEXT_COMMANDS, _Parser._text)
    table |= dict.fromkeys(sym.PLAIN_MATRICES, _Parser._plain_matrix)
    table |= dict.fromkeys(("\\pmod", "\\mod", "\\pod"), _Parser._modulo)
    table |= dict.fromkeys(_BRACKETED, _Parser._bracketed)
    table |= dict.fromkeys(("\\hspace", "\\hskip", "\\kern", "\\mkern", "\\mskip", "\\mspace"), _Parser._space)
    table |= dict.fromkeys(("\\raisebox", "\\raise", "\\lower"), _Parser._raised)
    table |= dict.fromkeys(("\\eqno", "\\leqno"), _Parser._tag)
    table |= dict.fromkeys(("\\textcolor", "\\colorbox", "\\href"), _Parser._coloured)
    table |= dict.fromkeys(("\\ref", "\\eqref", "\\cite"), _Parser._reference)
    for command, character in sym.ACCENTS.items():
        table[command] = lambda p, t, c=character: Accent(t, p._argument(t), c)
    for command, character in sym.WIDE_ACCENTS.items():
        table[command] = lambda p, t, c=character: Accent(t, p._argument(t), c, wide=True)
    for over, stretches in ((True, sym.OVER), (False, sym.UNDER)):
        for command, character in stretches.items():
            table[command] = lambda p, t, c=character, o=over: Stretch(t, p._argument(t), c, o)
    for command, character in sym.ARROWS.items():
        table[command] = lambda p, t, c=character: _arrow(p, t, c)
    for command, alphabet in sym.FONT_COMMANDS.items():
        table[command] = lambda p, t, a=alphabet: FontChange(t, a, p._argument(t))
    for command, atom in _CLASSED.items():
        table[command] = lambda p, t, a=atom: Classed(t, p._argument(t), a)
    for command, traits in _PHANTOMS.items():
        table[command] = lambda p, t, a=traits: _phantom(p, t, a)
    for command in sym.BIG:
        table[command] = lambda p, t: Big(t, p._delimiter(t))
    for command, stretch in sym.DECORATED_LIMITS.items():
        table[command] = lambda p, t, s=stretch: _decorated_limit(t, s)
    table |= {
        "\\genfrac": _Parser._general_fraction,
        "\\sqrt": _Parser._radical,
        "\\root": _Parser._root_of,
        "\\left": _Parser._delimited,
        "\\mleft": _Parser._delimited,
        "\\middle": lambda p, t: Middle(p._delimiter(t)),
        "\\operatorname": _Parser._operator_name,
        "\\operatornamewithlimits": lambda p, t: Operator(t, "", True, FontChange("\\mathrm", "rm", p._argument(t))),
        "\\mathop": lambda p, t: Operator(t, "", True, p._argument(t)),
        "\\not": _Parser._negated,
        "\\tag": _Parser._tag,
        "\\rule": _Parser._bar,
        "\\overset": lambda p, t: _stack(p, t, over=True),
        "\\underset": lambda p, t: _stack(p, t, over=False),
        "\\stackrel": lambda p, t: _stack(p, t, over=True),
        "\\stackunder": lambda p, t: _stack(p, t, over=False),
        "\\boxed": lambda p, t: Boxed(t, p._argument(t)),
        "\\fbox": lambda p, t: Boxed(t, _framed_text(p)),
        "\\framebox": lambda p, t: Boxed(t, _framed_text(p)),
        "\\mathchoice": _Parser._chosen,
        "\\sideset": _Parser._sideset,
        "\\buildrel": _Parser._built_relation,
        "\\resizebox": _Parser._resized,
        "\\scalebox": _Parser._resized,
        "\\vline": lambda p, t: Symbol(t, "|", "ord"),
        "\\slashed": lambda p, t: Negated("\\not", p._argument(t)),
        "\\textsuperscript": lambda p, t: Scripts(None, None, p._argument(t)),
        "\\textsubscript": lambda p, t: Scripts(None, p._argument(t), None),
        "\\multicolumn": _Parser._multicolumn,
        "\\ensuremath": lambda p, t: p._argument(t),
        "\\vcenter": lambda p, t: p._argument(t),
        "\\lefteqn": lambda p, t: Phantom(t, p._argument(t), True, "hd"),
    }
    return table


def _arrow(parser: _Parser, text: str, character: str) -> Node:
    under = parser._optional()
    return Arrow(text, character, parser._argument(text), under)


def _stack(parser: _Parser, text: str, over: bool) -> Node:
    small, base = parser._argument(text), parser._argument(text)
    return Stack(text, base, small if over else None, None if over else small)


def _phantom(parser: _Parser, text: str, traits: tuple[bool, str, str]) -> Node:
    if text == "\\smash":
        parser._optional()
    return Phantom(text, parser._argument(text), *traits)


def _framed_text(parser: _Parser) -> Node:
    if parser.texts[parser.i] != "{":
        return parser._argument("\\fbox")
    parser.i += 1
    return Text("\\text", parser._text_parts("}"), "rm")


def _decorated_limit(text: str, stretch: str) -> Node:
    over = stretch == "\\overline"
    character = (sym.OVER | sym.UNDER)[stretch]
    return Operator(text, "", True, Stretch(stretch, Operator("\\lim", "lim", False), character, over))


_HANDLERS = _handlers()
