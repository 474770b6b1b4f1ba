"""The tree of a formula to units of canonical form: one method a type of node.

`style` is TeX's, as in layout. `state` is the font in force. `loose` tells whether a script may move up or down by a
fifth of an em, as it does between `\\left( x \\right) ^ 2` and `( x ) ^ 2`: not within what grows with its body, where
a change of height would change sizes.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from texlens.latex import symbols as sym
from texlens.latex.engine import State, changed, subscript_style, superscript_style
from texlens.latex.natural import Fences
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
from texlens.latex.pieces import (
    STYLE,
    STYLE_TOKENS,
    Choice,
    Dots,
    Item,
    Unit,
    assemble,
    group,
    scale_of,
    space,
    space_tokens,
    spell,
    style_item,
    wrap,
)
from texlens.latex.spacing import BIN, CLASS, CLOSE, INNER, OP, OPEN, ORD, REL, SPACE
from texlens.latex.synonyms import (
    DELIMITERS,
    FUNCTIONS,
    LETTERLIKE,
    LIMIT_FUNCTIONS,
    RECLASSED,
    SYNONYMS,
    TYPED,
    font_of,
)

_PLAIN = ("", False)
_MU_SPACES = frozenset(
    ["\\,", "\\:", "\\;", "\\!", "\\>", "\\mkern", "\\mskip", "\\mspace", "\\thickspace", "\\medspace"]
)
_LOW, _CENTRED = Item(("\\ldots",), INNER), Item(("\\cdots",), INNER)
_OPENING = frozenset(["(", "[", "\\{", "|", "\\|", "\\langle", "\\lfloor", "\\lceil"])
_CLOSING = frozenset([")", "]", "\\}", "|", "\\|", "\\rangle", "\\rfloor", "\\rceil"])
_MATRIX_FENCES = {("(", ")"): "p", ("[", "]"): "b", ("\\{", "\\}"): "B", ("|", "|"): "v", ("\\|", "\\|"): "V"}


@lru_cache(maxsize=50_000)
def symbol(node: Symbol, state: State) -> Unit:
    """A symbol under its canonical name and font."""
    token, atom = SYNONYMS.get(node.source, node.source), CLASS[node.atom]
    if token == "\\dots":
        return Dots(_LOW, _CENTRED)
    if token in LETTERLIKE:
        return Item((LETTERLIKE[token],), ORD, ("\\mathbb",), True)
    if not token.isascii() and token in TYPED:
        token, font = TYPED[token]
        font = font or font_of(node.character, *state)
    else:
        font = () if node.atom == "op" else font_of(node.character, *state)
    item = Item((token,), atom, font, node.atom != "op", node.atom == "ord")
    other = RECLASSED.get(token)
    if other is not None and not font:
        return Choice((Item((other,), ORD, (), True),), item)
    return item


def _delimiter_symbol(token: str, is_left: bool) -> Unit:
    named = DELIMITERS.get(token, token)
    if named in ("|", "\\|"):
        letter = "v" if named == "|" else "V"
        name, atom = (f"\\l{letter}ert", OPEN) if is_left else (f"\\r{letter}ert", CLOSE)
        return Choice((Item((named,), ORD, (), True),), Item((name,), atom, (), True, False))
    return Item((named,), OPEN if is_left else CLOSE, (), True, False)


class Normal:
    """Units of one formula's nodes."""

    def __init__(self, tree: Row):
        self.fences = Fences(tree)

    # Rows

    def units(self, nodes: Sequence[Node], style: int, state: State, loose: bool) -> list[Unit]:
        units: list[Unit] = []
        wanted_style = here = style
        for node in nodes:
            kind = type(node)
            if kind is Space:
                scale = scale_of(here) if node.source in _MU_SPACES else 1.0
                if node.width_em:
                    units.append(space(node.width_em * scale))
            elif kind is FontSwitch:
                state = changed(state, node.alphabet)
            elif kind is StyleChange:
                wanted_style = node.style | (style & 1)
            else:
                if wanted_style != here:
                    here = wanted_style
                    units.append(style_item(here))
                if kind is Symbol:
                    units.append(symbol(node, state))
                else:
                    made = _METHODS[kind](self, node, here, state, loose)
                    if type(made) is list:
                        units += made
                    else:
                        units.append(made)
        return units

    def items(self, nodes: Sequence[Node], style: int, state: State, loose: bool) -> list[Item]:
        return assemble(self.units(nodes, style, state, loose), style)

    def body(self, node: Node | None, style: int, state: State, loose: bool) -> list[Item]:
        """The items of an argument, without the braces around it."""
        nodes = node.items if isinstance(node, Row) else () if node is None else (node,)
        while len(nodes) == 1 and type(nodes[0]) is Row:
            nodes = nodes[0].items
        return self.items(nodes, style, state, loose)

    def spelt(self, node: Node | None, style: int, state: State, loose: bool) -> tuple[str, ...]:
        nodes = node.items if isinstance(node, Row) else () if node is None else (node,)
        while len(nodes) == 1 and type(nodes[0]) is Row:
            nodes = nodes[0].items
        return spell(assemble(self.units(nodes, style, state, loose), style), style)

    def row(self, node: Row, style: int, state: State, loose: bool) -> Unit | list[Unit]:
        inner = self.items(node.items, style, state, loose)
        return braced(inner, style)

    # Scripts

    def scripts(self, node: Scripts, style: int, state: State, loose: bool) -> Unit | list[Unit]:
        sub = None if node.sub is None else self.spelt(node.sub, subscript_style(style), state, loose)
        sup = None if node.sup is None else self.spelt(node.sup, superscript_style(style), state, loose)
        if not sub and (loose or not sup):
            sub = None
        if not sup and (loose or not sub):
            sup = None
        base, limits = node.base, self._limits(node, style)
        suffix: tuple[str, ...] = limits if sub is not None or sup is not None else ()
        if sub is not None:
            suffix += group(("_",), sub)
        if sup is not None:
            suffix += group(("^",), sup)
        if base is None:
            return Item(("{", "}", *suffix), ORD, (), False, False)
        if type(base) is Symbol:
            return self._attached(symbol(base, state), suffix, style, loose)
        if type(base) is Operator:
            unit: Unit | list[Unit] = self.operator(base, style, state, loose, has_scripts=bool(suffix))
        else:
            unit = _METHODS[type(base)](self, base, style, state, loose)
        if type(base) is Delimited:
            loose = loose and self.fences.moves_scripts_little(base, style)
        if type(unit) is Item and not unit.is_base and suffix and not unit.font:
            unit = Item(("{", *spell((unit,), style), "}"), ORD)
        return self._attached(unit, suffix, style, loose)

    def _limits(self, node: Scripts, style: int) -> tuple[str, ...]:
        r"""`\limits` or `\nolimits` where it makes a difference."""
        base, limits = node.base, node.limits
        if limits is None or limits == "\\displaylimits" or base is None:
            return ()
        if isinstance(base, Stretch) and base.source in sym.BRACES:
            return ()
        if isinstance(base, Symbol) and base.atom == "op":
            natural = base.source in sym.LIMIT_OPERATORS and style < 2
        elif isinstance(base, Operator):
            natural = base.limits and style < 2
        else:
            return (limits,) if limits == "\\limits" else ()
        return () if natural == (limits == "\\limits") else (limits,)

    def _attached(self, unit: Unit | list[Unit], suffix: tuple[str, ...], style: int, loose: bool) -> Unit | list[Unit]:
        if not suffix:
            return unit
        if type(unit) is list:
            return [*unit[:-1], self._attached(unit[-1], suffix, style, loose)]  # type: ignore[list-item]
        if type(unit) is Dots:
            return Dots(_with(unit.low, suffix), _with(unit.centred, suffix))
        if type(unit) is Choice and unit.is_group:
            return _on_group(unit, suffix, style, loose)
        if type(unit) is Choice:
            if unit.wanted and _end_is_one_run(unit.wanted):
                word = Item((*wrap(unit.wanted[0].font, _letters(unit.wanted)), *suffix), ORD, (), False, False)
                return Choice((word,), _with(unit.otherwise, suffix))
            if len(unit.wanted) == 1 or (loose and unit.wanted and unit.wanted[-1].is_character):
                return Choice((*unit.wanted[:-1], _with(unit.wanted[-1], suffix)), _with(unit.otherwise, suffix))
            return _with(unit.otherwise, suffix)
        return _with(unit, suffix)

    # Fractions, radicals, delimiters

    def fraction(self, node: Fraction, style: int, state: State, loose: bool) -> Unit:
        forced = node.style is not None and node.style != style & ~1
        within = style if node.style is None else node.style | (style & 1)
        inner = within + 2 if within < 6 else within
        above = self.spelt(node.numerator, inner, state, loose)
        below = self.spelt(node.denominator, inner | 1, state, loose)
        if node.source in ("\\nicefrac", "\\sfrac"):
            return Item(group((node.source,), above, below), ORD)
        left, right = (None if side is None else DELIMITERS.get(side, side) for side in (node.left, node.right))
        if left is None and right is None and node.has_rule:
            return self._sized(group(("\\frac",), above, below), forced, within, "frac")
        if (left, right) == ("(", ")") and not node.has_rule:
            return self._sized(group(("\\binom",), above, below), forced, within, "binom")
        if left is None and right is None:
            divided = ("\\atop",)
        else:
            divided = ("\\overwithdelims" if node.has_rule else "\\atopwithdelims", left or ".", right or ".")
        tokens = ("{", *above, *divided, *below, "}")
        return Item(("{", STYLE_TOKENS[within & ~1], *tokens, "}") if forced else tokens, ORD)

    @staticmethod
    def _sized(tokens: tuple[str, ...], forced: bool, style: int, name: str) -> Item:
        if not forced:
            return Item(tokens, ORD)
        if style >= 4:
            return Item(("{", STYLE_TOKENS[style & ~1], *tokens, "}"), ORD)
        return Item((("\\d" if style < 2 else "\\t") + name, *tokens[1:]), ORD)

    def radical(self, node: Radical, style: int, state: State, loose: bool) -> Unit:
        body = self.spelt(node.body, style | 1, state, False)
        if node.degree is None:
            return Item(group(("\\sqrt",), body), ORD)
        degree = self.spelt(node.degree, 6, state, False)
        if "]" in degree:
            degree = ("{", *degree, "}")
        return Item(group(("\\sqrt", "[", *degree, "]"), body), ORD)

    def delimited(self, node: Delimited, style: int, state: State, loose: bool) -> Unit | list[Unit]:
        is_natural = self.fences.is_natural(node)
        units = self.units(node.body.items, style, state, loose and is_natural)
        left, right = (DELIMITERS.get(side, side) for side in (node.left, node.right))
        inner = assemble(units, style)
        whole = _matrix_in_fences(left, right, inner, style) or _fenced(left, right, inner, style)
        has_middle = any(type(item) is Middle for item in node.body.items)
        if not is_natural or has_middle or left not in _OPENING or right not in _CLOSING:
            return whole
        if any(item.atom == STYLE for item in inner):
            return whole
        ends = _delimiter_symbol(left, True), *units, _delimiter_symbol(right, False)
        return Choice(tuple(assemble(ends, style)), whole)

    def middle(self, node: Middle, style: int, state: State, loose: bool) -> Unit:
        return Item(("\\middle", DELIMITERS.get(node.delimiter, node.delimiter)), OPEN, (), False, False)

    def big(self, node: Big, style: int, state: State, loose: bool) -> Unit:
        named, atom = DELIMITERS.get(node.delimiter, node.delimiter), CLASS[sym.BIG[node.source][1]]
        item = Item((node.source, named), atom)
        if atom in (OPEN, CLOSE):
            return Choice((Item((node.source[:-1], named), ORD),), item)
        return item

    # Over, under and around

    def accent(self, node: Accent, style: int, state: State, loose: bool) -> Unit:
        source = SYNONYMS.get(node.source, node.source)
        inner = self.body(node.body, style | 1, state, loose)
        is_character = len(inner) == 1 and inner[0].is_character
        return Item(group((source,), spell(inner, style)), ORD, (), is_character)

    def stretch(self, node: Stretch, style: int, state: State, loose: bool) -> Unit:
        body = self.spelt(node.body, style | 1 if node.over else style, state, loose)
        atom = OP if node.source in sym.BRACES else ORD
        return Item(group((SYNONYMS.get(node.source, node.source),), body), atom)

    def stack(self, node: Stack, style: int, state: State, loose: bool) -> Unit:
        base = self.body(node.base, style, state, loose)
        atom = base[0].atom if len(base) == 1 and base[0].atom >= 0 and base[0].is_character else ORD
        small = node.over if node.over is not None else node.under
        inner = superscript_style(style) if node.over is not None else subscript_style(style)
        source = "\\overset" if node.over is not None else "\\underset"
        if node.source == "\\stackrel" and atom != REL:
            source, atom = "\\stackrel", REL
        return Item(group((source,), self.spelt(small, inner, state, loose), spell(base, style)), atom)

    def arrow(self, node: Arrow, style: int, state: State, loose: bool) -> Unit:
        over = self.spelt(node.over, superscript_style(style), state, loose)
        if node.under is None:
            return Item(group((node.source,), over), REL)
        under = self.spelt(node.under, subscript_style(style), state, loose)
        return Item(group((node.source, "[", *_guarded(under), "]"), over), REL)

    def boxed(self, node: Boxed, style: int, state: State, loose: bool) -> Unit:
        if node.source == "\\boxed":
            return Item(group(("\\boxed",), self.spelt(node.body, style, state, loose)), ORD)
        if isinstance(node.body, Text):
            return Item(("\\fbox", _text_piece(self, node.body.parts)), ORD)
        return Item(("\\fbox", "{$" + " ".join(self.spelt(node.body, 2, state, loose)) + "$}"), ORD)

    def negated(self, node: Negated, style: int, state: State, loose: bool) -> Unit | list[Unit]:
        if isinstance(node.body, Space):
            return [Item(("\\not", "{", "}"), ORD, (), False, False), *self.units((node.body,), style, state, loose)]
        inner = self.body(node.body, style, state, loose)
        tokens = spell(inner, style)
        atom = inner[0].atom if len(inner) == 1 and inner[0].atom >= 0 else ORD
        if tokens == ("=",):
            return Item(("\\neq",), REL, (), True, False)
        if tokens == ("\\in",):
            return Item(("\\notin",), REL, (), True, False)
        if len(tokens) == 1:
            return Item(("\\not", *tokens), atom)
        return Item(group(("\\not",), tokens), atom)

    def phantom(self, node: Phantom, style: int, state: State, loose: bool) -> Unit:
        return Item(group((node.source,), self.spelt(node.body, style, state, False)), ORD)

    def raised(self, node: Raised, style: int, state: State, loose: bool) -> Unit:
        shift = f"{node.shift_em:.3f}".rstrip("0").rstrip(".") or "0"
        if node.source == "\\raisebox" and isinstance(node.body, Text):
            return Item(("\\raisebox", "{" + shift + "em}", _text_piece(self, node.body.parts)), ORD)
        body = self.spelt(node.body, style, state, False)
        return Item(group(("\\raise", shift.replace("-0", "0") + "em" if shift == "-0" else shift + "em"), body), ORD)

    def bar(self, node: Bar, style: int, state: State, loose: bool) -> Unit:
        width, height, lift = (f"{em:.3f}em" for em in (node.width_em, node.height_em, node.raise_em))
        lifted = ("[" + lift + "]",) if node.raise_em else ()
        return Item(("\\rule", *lifted, "{" + width + "}", "{" + height + "}"), ORD)

    # Fonts, operators, classes, words

    def font_change(self, node: FontChange, style: int, state: State, loose: bool) -> Unit | list[Unit]:
        state = changed(state, node.alphabet)
        body = node.body
        nodes = body.items if isinstance(body, Row) else (body,)
        inner = self.items(nodes, style, state, loose)
        if len(nodes) == 1 and len(inner) == 1 and (inner[0].is_base or type(nodes[0]) is Symbol):
            return inner[0]
        return braced(inner, style)

    def operator(
        self, node: Operator, style: int, state: State, loose: bool, has_scripts: bool = False
    ) -> Unit | list[Unit]:
        if node.body is None:
            if node.name in FUNCTIONS or node.name in LIMIT_FUNCTIONS or " " in node.name:
                return Item((node.source,), OP)
            inner = [Item((letter,), ORD, ("\\mathrm",), True) for letter in node.name]
        else:
            inner = self.body(node.body, style, state, loose)
        word = "".join(item.tokens[0] for item in inner if item.font == ("\\mathrm",)) if inner else ""
        is_word = bool(inner) and all(item.font == ("\\mathrm",) and len(item.tokens) == 1 for item in inner)
        if isinstance(node.body, Stretch):
            return Item((node.source,), OP)
        goes_over = node.limits and has_scripts and style < 2
        if is_word and (word in FUNCTIONS or word in LIMIT_FUNCTIONS):
            if not has_scripts or style >= 2 or (word in LIMIT_FUNCTIONS) == node.limits:
                return Item(("\\" + word,), OP)
        letters_only = tuple(token for item in inner for token in item.tokens)
        if is_word:
            otherwise = Item(group(("\\operatorname" + "*" * goes_over,), letters_only), OP)
            return otherwise if goes_over else Choice(tuple(inner), otherwise)
        if node.source.startswith("\\operatorname") and not goes_over:
            tokens = spell(inner, style)
            return (
                Item(group(("\\mathop",), tokens), OP)
                if not has_scripts
                else Item(group(("\\operatorname" + "*" * node.limits,), tokens), OP)
            )
        if len(inner) == 1 and inner[0].atom == OP:
            return inner[0]
        return Item(group(("\\mathop",), spell(inner, style)), OP)

    def classed(self, node: Classed, style: int, state: State, loose: bool) -> Unit | list[Unit]:
        atom = CLASS[node.atom]
        if node.source == "\\bmod":
            return Item(("\\bmod",), BIN)
        if node.source == "" and isinstance(node.body, Symbol):
            return _delimiter_symbol(node.body.source, atom == OPEN)
        inner = self.body(node.body, style, state, loose)
        otherwise = Item(group((node.source,), spell(inner, style)), atom)
        return Choice(tuple(inner), otherwise)

    def macro(self, node: Macro, style: int, state: State, loose: bool) -> Unit | list[Unit]:
        if node.source in ("\\iff", "\\implies", "\\impliedby"):
            name = {"\\iff": "\\Longleftrightarrow", "\\implies": "\\Longrightarrow", "\\impliedby": "\\Longleftarrow"}
            thick = space(5 / 18 * scale_of(style))
            return [thick, Item((name[node.source],), REL), thick]
        if node.source in ("\\tag", "\\eqno", "\\leqno"):
            (words,) = node.arguments
            assert isinstance(words, Text)
            return Item(("\\tag", "*", "{" + " ".join(str(words.parts[0]).split()) + "}"), ORD, (), False, False)
        if node.source in ("\\pmod", "\\mod", "\\pod"):
            return Item(group((node.source,), self.spelt(node.arguments[0], style, state, loose)), ORD)
        return braced(self.items(node.expansion.items, style, state, loose), style)

    def text(self, node: Text, style: int, state: State, loose: bool) -> Unit | list[Unit]:
        is_text_sized = node.source in ("\\mbox", "\\hbox", "\\makebox")
        if is_text_sized and style >= 4:
            return Item(("\\mbox", _text_piece(self, node.parts)), ORD)
        inner_state = changed(("rm", False) if is_text_sized or state[0] == "" else state, node.alphabet)
        inner = self._words(node.parts, style, inner_state)
        if inner is None or node.source == "\\textsc":
            name = _TEXT_NAMES.get(inner_state, "\\text") if node.source != "\\textsc" else "\\textsc"
            return Item((name, _text_piece(self, node.parts)), ORD)
        return braced(inner, style)

    def _words(self, parts: Sequence[Any], style: int, state: State) -> list[Item] | None:
        """Text as letters in math, where that draws the same; else None."""
        items: list[Item] = []
        for part in parts:
            if isinstance(part, str):
                for letter in part:
                    made = _text_letter(letter, state, style)
                    if made is None:
                        return None
                    items.append(made)
            elif isinstance(part, FontSwitch):
                state = changed(state, part.alphabet)
            elif isinstance(part, Space):
                items.append(space(part.width_em))
            elif isinstance(part, Row | Symbol):
                nodes = part.items if isinstance(part, Row) else (part,)
                if not all(_is_simple(node) for node in nodes):
                    return None
                items += self.items(nodes, max(style, 2), _PLAIN, False)
            elif isinstance(part, Text) and part.source not in ("\\mbox", "\\hbox", "\\makebox", "\\textsc"):
                more = self._words(part.parts, style, changed(state, part.alphabet))
                if more is None:
                    return None
                items += more
            else:
                return None
        return items

    # Matrices

    def matrix(self, node: Matrix, style: int, state: State, loose: bool) -> Unit | list[Unit]:
        from texlens.latex.tables import table

        return table(self, node, style, state)

    def multicolumn(self, node: Multicolumn, style: int, state: State, loose: bool) -> Unit:
        body = self.spelt(node.body, style, state, False)
        return Item(group(("\\multicolumn",), tuple(str(node.span)), tuple(node.columns or "c"), body), ORD)


_TEXT_NAMES = {
    ("bf", False): "\\textbf",
    ("it", False): "\\textit",
    ("sf", False): "\\textsf",
    ("tt", False): "\\texttt",
}


def _with(item: Item, suffix: tuple[str, ...]) -> Item:
    """A base with its scripts; braces go around a base that can't carry them bare."""
    base = tuple(wrap(item.font, item.tokens)) if item.font else item.tokens
    return Item((*base, *suffix), item.atom, (), False, False)


def _on_group(unit: Choice, suffix: tuple[str, ...], style: int, loose: bool) -> Unit:
    """A group with scripts: without braces where they change nothing, or little and that is allowed."""
    inner = [item for item in unit.wanted if item.atom != SPACE or space_tokens(item.em, style)]
    if len(inner) == 1 and inner[0].is_base and inner[0].atom in (ORD, INNER):
        return _with(inner[0], suffix)
    tokens = spell(unit.wanted, style)
    if inner and _end_is_one_run(inner):
        return _word(inner, tokens, suffix, style)
    otherwise = Item(("{", *tokens, "}", *suffix), ORD, (), False, False)
    is_plain = all(item.is_character and item.atom >= 0 and len(item.tokens) == 1 for item in inner)
    if loose and len(inner) > 1 and is_plain and inner[-1].atom in (ORD, CLOSE):
        return Choice((*inner[:-1], _with(inner[-1], suffix)), otherwise)
    return otherwise


def _end_is_one_run(inner: Sequence[Item]) -> bool:
    first = inner[0]
    return bool(first.font) and all(item.font == first.font and item.atom == ORD for item in inner)


def _letters(items: Sequence[Item]) -> list[str]:
    return [token for item in items for token in item.tokens]


def _word(inner: Sequence[Item], tokens: tuple[str, ...], suffix: tuple[str, ...], style: int) -> Unit:
    r"""Letters of one font with scripts: a function's name where it puts them at the same place."""
    written = Item((*wrap(inner[0].font, _letters(inner)), *suffix), ORD, (), False, False)
    if len(tokens) > 1 or tokens[0][0] != "\\" or len(inner) == 1:
        return written
    if tokens[0][1:] in LIMIT_FUNCTIONS and style < 2:
        return written
    return Choice((Item((*tokens, *suffix), OP, (), False, False),), written)


def braced(inner: list[Item], style: int) -> Unit:
    """A group: its items as they are where the gaps allow it, else in braces."""
    return Choice(tuple(inner), Item(("{", *spell(inner, style), "}"), ORD, (), False, False), True)


def _guarded(tokens: tuple[str, ...]) -> tuple[str, ...]:
    return ("{", *tokens, "}") if "]" in tokens else tokens


def _matrix_in_fences(left: str, right: str, inner: Sequence[Item], style: int) -> Item | None:
    """`pmatrix` and kin for a matrix alone between the delimiters that they draw."""
    kind = _MATRIX_FENCES.get((left, right))
    tokens = spell(inner, style) if kind else ()
    ink = [item for item in inner if item.atom != SPACE]
    if not tokens or tokens[0] != "\\begin{matrix}" or len(ink) != 1 or tokens != ink[0].tokens:
        return None
    return Item((f"\\begin{{{kind}matrix}}", *tokens[1:-1], f"\\end{{{kind}matrix}}"), INNER)


def _fenced(left: str, right: str, inner: Sequence[Item], style: int) -> Item:
    return Item(("\\left", left, *spell(inner, style), "\\right", right), INNER)


def _is_simple(node: Node) -> bool:
    """A symbol that looks the same in text style as in display style."""
    body = node.body if isinstance(node, Negated) else node
    return isinstance(body, Symbol) and body.atom != "op"


def _text_letter(letter: str, state: State, style: int) -> Item | None:
    if letter.isspace():
        return space(scale_of(style) / 3)
    if (letter.isascii() and letter.isalnum()) or letter in "./":
        return Item((letter,), ORD, font_of(letter, *state), True)
    if letter in ",;":
        return Item((letter,), CLASS["punct"], (), True, False)
    if letter in "()[]":
        return Item((letter,), OPEN if letter in "([" else CLOSE, (), True, False)
    if letter in TYPED:
        token, font = TYPED[letter]
        entry = sym.SYMBOLS.get(token)
        return Item((token,), ORD, font or font_of(letter, *state), True) if entry and entry[1] == "ord" else None
    if not letter.isascii() and letter.isalpha() and sym.atom_of_character(letter) == "ord":
        return Item((letter,), ORD, font_of(letter, *state), True)
    return None


_ESCAPES = {character: "\\" + character for character in "{}$&#%_"}
_ESCAPES |= {"\\": "\\textbackslash ", "^": "\\textasciicircum ", "~": "\\textasciitilde "}


def _text_piece(normal: Normal, parts: Sequence[Any]) -> str:
    """Words in braces with their spaces written out, since white space between tokens counts there."""
    return "{" + "".join(_text_part(normal, part) for part in parts) + "}"


def _text_part(normal: Normal, part: Any) -> str:
    if isinstance(part, str):
        return "".join("~" if letter.isspace() else _ESCAPES.get(letter, letter) for letter in part)
    if isinstance(part, Text):
        name = "" if part.source == "{" else part.source
        return name + _text_piece(normal, part.parts)
    if isinstance(part, Space):
        return "".join(
            "~" if token == "\\ " else token + " " * token[-1].isalpha() for token in space_tokens(part.width_em, 2)
        )
    if isinstance(part, FontSwitch):
        return part.source + " "
    nodes = part.items if isinstance(part, Row) else (part,)
    return "$" + " ".join(spell(normal.items(nodes, 2, _PLAIN, False), 2)) + "$"


Method = Callable[[Normal, Any, int, State, bool], Unit | list[Unit]]
_METHODS: dict[type, Method] = {
    Row: Normal.row,
    Scripts: Normal.scripts,
    Fraction: Normal.fraction,
    Radical: Normal.radical,
    Delimited: Normal.delimited,
    Middle: Normal.middle,
    Big: Normal.big,
    Accent: Normal.accent,
    Stretch: Normal.stretch,
    Stack: Normal.stack,
    Arrow: Normal.arrow,
    Matrix: Normal.matrix,
    Multicolumn: Normal.multicolumn,
    Text: Normal.text,
    FontChange: Normal.font_change,
    Operator: Normal.operator,
    Classed: Normal.classed,
    Phantom: Normal.phantom,
    Raised: Normal.raised,
    Boxed: Normal.boxed,
    Negated: Normal.negated,
    Bar: Normal.bar,
    Macro: Normal.macro,
}
