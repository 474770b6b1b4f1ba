"""Fractions, radicals, fences and what goes over, under and around, in canonical form."""

from collections.abc import Sequence

from texlens.latex.canonical.canonicalizer import Canonicalizer, braced
from texlens.latex.canonical.items import STYLE, STYLE_TOKENS, Choice, Item, Unit
from texlens.latex.canonical.printing import group, space_tokens, spell
from texlens.latex.canonical.synonyms import DELIMITERS, SYNONYMS
from texlens.latex.layout.engine import State, subscript_style, superscript_style
from texlens.latex.layout.spacing import CLASS, CLOSE, INNER, OP, OPEN, ORD, REL, SPACE
from texlens.latex.layout.structures import is_character_node, segments
from texlens.latex.parse import symbols as sym
from texlens.latex.parse.nodes import (
    Accent,
    Arrow,
    Big,
    Cancel,
    Delimited,
    Fraction,
    Middle,
    Negated,
    Phantom,
    Radical,
    Sideset,
    Space,
    Stack,
    Stretch,
    StyleChoice,
)

_RULE_EM = 0.04  # TeX's own
_OPENING = frozenset(["(", "[", "\\{", "|", "\\|", "\\langle", "\\lfloor", "\\lceil"])
_CLOSING = frozenset([")", "]", "\\}", "|", "\\|", "\\rangle", "\\rfloor", "\\rceil"])
_MATRIX_FENCES = {("(", ")"): "p", ("[", "]"): "b", ("\\{", "\\}"): "B", ("|", "|"): "v", ("\\|", "\\|"): "V"}


# Fractions and radicals


def canonical_fraction(canonicalizer: Canonicalizer, node: Fraction, style: int, state: State, loose: bool) -> Unit:
    forced = node.style is not None and node.style != style & ~1
    within = style if node.style is None else node.style | (style & 1)
    inner = within + 2 if within < 6 else within
    above = canonicalizer.spelt(node.numerator, inner, state, loose)
    below = canonicalizer.spelt(node.denominator, inner | 1, state, loose)
    if node.source in ("\\nicefrac", "\\sfrac"):
        return Item(group((node.source,), above, below), ORD)
    left, right = (None if side is None else DELIMITERS.get(side, side) for side in (node.left, node.right))
    has_own_rule = node.has_rule and node.thickness_em is not None and abs(node.thickness_em - _RULE_EM) > 0.001
    if left is None and right is None and node.has_rule and not has_own_rule:
        return _sized(group(("\\frac",), above, below), forced, within, "frac")
    if (left, right) == ("(", ")") and not node.has_rule:
        return _sized(group(("\\binom",), above, below), forced, within, "binom")
    if has_own_rule:
        thickness = f"{node.thickness_em:.3f}em"
        fences = ("\\above",) if left is None and right is None else ("\\abovewithdelims", left or ".", right or ".")
        divided = (*fences, thickness)
    elif left is None and right is None:
        divided = ("\\atop",)
    else:
        divided = ("\\overwithdelims" if node.has_rule else "\\atopwithdelims", left or ".", right or ".")
    tokens = ("{", *above, *divided, *below, "}")
    return Item(("{", STYLE_TOKENS[within & ~1], *tokens, "}") if forced else tokens, ORD)


def _sized(tokens: tuple[str, ...], forced: bool, style: int, name: str) -> Item:
    if not forced:
        return Item(tokens, ORD)
    if style >= 4:
        return Item(("{", STYLE_TOKENS[style & ~1], *tokens, "}"), ORD)
    return Item((("\\d" if style < 2 else "\\t") + name, *tokens[1:]), ORD)


def canonical_radical(canonicalizer: Canonicalizer, node: Radical, style: int, state: State, loose: bool) -> Unit:
    body = canonicalizer.spelt(node.body, style | 1, state, False)
    if node.degree is None:
        return Item(group(("\\sqrt",), body), ORD)
    degree = canonicalizer.spelt(node.degree, 6, state, False)
    if "]" in degree:
        degree = ("{", *degree, "}")
    return Item(group(("\\sqrt", "[", *degree, "]"), body), ORD)


def _guarded(tokens: tuple[str, ...]) -> tuple[str, ...]:
    return ("{", *tokens, "}") if "]" in tokens else tokens


# Delimiters


def canonical_delimited(
    canonicalizer: Canonicalizer, node: Delimited, style: int, state: State, loose: bool
) -> Unit | list[Unit]:
    is_natural = canonicalizer.fences.is_natural(node)
    units = [
        unit
        for segment in segments(node.body)
        for unit in canonicalizer.units(segment, style, state, loose and is_natural)
    ]
    left, right = (DELIMITERS.get(side, side) for side in (node.left, node.right))
    inner = canonicalizer.assembled(units, style)
    whole = _matrix_in_fences(left, right, inner, style) or _fenced(left, right, inner, style)
    has_middle = any(isinstance(item, Middle) for item in node.body.items)
    if not is_natural or has_middle or left not in _OPENING or right not in _CLOSING:
        return whole
    if any(item.atom == STYLE for item in inner):
        return whole
    ends = delimiter_symbol(left, True), *units, delimiter_symbol(right, False)
    return Choice(tuple(canonicalizer.assembled(ends, style)), whole)


def _matrix_in_fences(left: str, right: str, inner: Sequence[Item], style: int) -> Item | None:
    """`pmatrix` and kin for a matrix alone between the delimiters that they draw."""
    kind = _MATRIX_FENCES.get((left, right)) if style < 4 else None
    tokens = spell(inner, style) if kind else ()
    ink = [item for item in inner if item.atom != SPACE]
    if (
        not tokens
        or tokens[0] != "\\begin{matrix}"
        or tokens[-1] != "\\end{matrix}"
        or len(ink) != 1
        or tokens != ink[0].tokens
    ):
        return None
    return Item((f"\\begin{{{kind}matrix}}", *tokens[1:-1], f"\\end{{{kind}matrix}}"), INNER)


def _fenced(left: str, right: str, inner: Sequence[Item], style: int) -> Item:
    return Item(("\\left", left, *spell(inner, style), "\\right", right), INNER)


def delimiter_symbol(token: str, is_left: bool) -> Unit:
    named = DELIMITERS.get(token, token)
    if named in ("|", "\\|"):
        letter = "v" if named == "|" else "V"
        name, atom = (f"\\l{letter}ert", OPEN) if is_left else (f"\\r{letter}ert", CLOSE)
        return Choice((Item((named,), ORD, (), True),), Item((name,), atom, (), True, False))
    return Item((named,), OPEN if is_left else CLOSE, (), True, False)


def canonical_middle(canonicalizer: Canonicalizer, node: Middle, style: int, state: State, loose: bool) -> Unit:
    return Item(("\\middle", DELIMITERS.get(node.delimiter, node.delimiter)), OPEN, (), False, False)


def canonical_big(canonicalizer: Canonicalizer, node: Big, style: int, state: State, loose: bool) -> Unit:
    named, atom = DELIMITERS.get(node.delimiter, node.delimiter), CLASS[sym.BIG[node.source][1]]
    item = Item((node.source, named), atom)
    if atom in (OPEN, CLOSE):
        return Choice((Item((node.source[:-1], named), ORD),), item)
    return item


# Over, under and through


def canonical_accent(canonicalizer: Canonicalizer, node: Accent, style: int, state: State, loose: bool) -> Unit:
    source = SYNONYMS.get(node.source, node.source)
    inner = canonicalizer.body(node.body, style | 1, state, loose)
    ink = [item for item in inner if item.atom != SPACE or space_tokens(item.em, style)]
    is_character = len(ink) == 1 and ink[0].is_character
    tokens = spell(inner, style)
    if is_character and ink[0].atom == ORD and not is_character_node(node):
        # a box such as `\\textbf{S}`: the empty atom keeps scripts at the height that TeX gives them
        return Item(group((source,), ("{", "}", *tokens)), ORD)
    return Item(group((source,), tokens), ORD, (), is_character)


def canonical_stretch(canonicalizer: Canonicalizer, node: Stretch, style: int, state: State, loose: bool) -> Unit:
    body = canonicalizer.spelt(node.body, style | 1 if node.over else style, state, loose)
    atom = OP if node.source in sym.BRACES else ORD
    return Item(group((SYNONYMS.get(node.source, node.source),), body), atom)


def canonical_stack(canonicalizer: Canonicalizer, node: Stack, style: int, state: State, loose: bool) -> Unit:
    base = canonicalizer.body(node.base, style, state, loose)
    atom = base[0].atom if len(base) == 1 and base[0].atom >= 0 and base[0].is_character else ORD
    over = None if node.over is None else canonicalizer.spelt(node.over, superscript_style(style), state, loose)
    under = None if node.under is None else canonicalizer.spelt(node.under, subscript_style(style), state, loose)
    if over is not None and under is not None:
        option = ("[", *_guarded(under), "]")
        return Item(group(("\\stackrel", *option), over, spell(base, style)), REL)
    source = "\\overset" if over is not None else "\\underset"
    if node.source == "\\stackrel" and atom != REL:
        source, atom = "\\stackrel", REL
    return Item(group((source,), over if over is not None else under or (), spell(base, style)), atom)


def canonical_sideset(canonicalizer: Canonicalizer, node: Sideset, style: int, state: State, loose: bool) -> Unit:
    corners = []
    for sub, sup in ((node.left_sub, node.left_sup), (node.right_sub, node.right_sup)):
        tokens: tuple[str, ...] = ()
        if sub is not None:
            tokens += group(("_",), canonicalizer.spelt(sub, subscript_style(style), state, False))
        if sup is not None:
            tokens += group(("^",), canonicalizer.spelt(sup, superscript_style(style), state, False))
        corners.append(tokens)
    base = canonicalizer.spelt(node.base, style, state, False)
    return Item((*group(("\\sideset",), *corners), *base), OP)


def canonical_style_choice(
    canonicalizer: Canonicalizer, node: StyleChoice, style: int, state: State, loose: bool
) -> Unit:
    return braced(canonicalizer.body(node.branches[style >> 1], style, state, loose), style)


def canonical_cancel(canonicalizer: Canonicalizer, node: Cancel, style: int, state: State, loose: bool) -> Unit:
    return Item(group((node.source,), canonicalizer.spelt(node.body, style, state, False)), ORD)


def canonical_arrow(canonicalizer: Canonicalizer, node: Arrow, style: int, state: State, loose: bool) -> Unit:
    over = canonicalizer.spelt(node.over, superscript_style(style), state, loose)
    if node.under is None:
        return Item(group((node.source,), over), REL)
    under = canonicalizer.spelt(node.under, subscript_style(style), state, loose)
    return Item(group((node.source, "[", *_guarded(under), "]"), over), REL)


def canonical_negated(
    canonicalizer: Canonicalizer, node: Negated, style: int, state: State, loose: bool
) -> Unit | list[Unit]:
    if isinstance(node.body, Space):
        return [
            Item(("\\not", "{", "}"), ORD, (), False, False),
            *canonicalizer.units((node.body,), style, state, loose),
        ]
    inner = canonicalizer.body(node.body, style, state, loose)
    tokens = spell(inner, style)
    atom = inner[0].atom if len(inner) == 1 and inner[0].atom >= 0 else ORD
    if tokens == ("=",):
        return Item(("\\neq",), REL, (), True, False)
    if tokens == ("\\in",):
        return Item(("\\notin",), REL, (), True, False)
    if len(tokens) == 1:
        return Item(("\\not", *tokens), atom)
    return Item(group(("\\not",), tokens), atom)


def canonical_phantom(canonicalizer: Canonicalizer, node: Phantom, style: int, state: State, loose: bool) -> Unit:
    return Item(group((node.source,), canonicalizer.spelt(node.body, style, state, False)), ORD)
