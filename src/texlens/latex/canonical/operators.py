"""Fonts, operators, atom classes and macros in canonical form."""

from texlens.latex.canonical.canonicalizer import Canonicalizer, braced
from texlens.latex.canonical.constructs import delimiter_symbol
from texlens.latex.canonical.items import Choice, Item, Unit, space
from texlens.latex.canonical.printing import group, scale_of, spell
from texlens.latex.canonical.synonyms import FUNCTIONS, LIMIT_FUNCTIONS
from texlens.latex.canonical.text import canonical_tag
from texlens.latex.layout.engine import State, changed
from texlens.latex.layout.formula import KEEPS_CLASS
from texlens.latex.layout.spacing import BIN, CLASS, OP, OPEN, ORD, REL
from texlens.latex.parse import symbols as sym
from texlens.latex.parse.nodes import Classed, FontChange, Macro, Operator, Row, Symbol, Text

_DOUBLE_ARROWS = {"\\iff": "\\Longleftrightarrow", "\\implies": "\\Longrightarrow", "\\impliedby": "\\Longleftarrow"}


def canonical_row(canonicalizer: Canonicalizer, node: Row, style: int, state: State, loose: bool) -> Unit | list[Unit]:
    inner = canonicalizer.items(node.items, style, state, loose)
    return braced(inner, style)


def canonical_font_change(
    canonicalizer: Canonicalizer, node: FontChange, style: int, state: State, loose: bool
) -> Unit | list[Unit]:
    state = changed(state, node.alphabet)
    body = node.body
    nodes = body.items if isinstance(body, Row) else (body,)
    inner = canonicalizer.items(nodes, style, state, loose)
    is_single = len(nodes) == 1 and len(inner) == 1 and (inner[0].is_base or isinstance(nodes[0], Symbol))
    if is_single and (node.source in KEEPS_CLASS or inner[0].atom == ORD):
        return inner[0]
    return braced(inner, style)


def canonical_operator(
    canonicalizer: Canonicalizer, node: Operator, style: int, state: State, loose: bool, has_scripts: bool = False
) -> Unit | list[Unit]:
    if not state[1] and _is_command(node):
        return Item((node.source,), OP)
    if node.body is None:
        font = ("\\mathbf",) if state[1] else ("\\mathrm",)
        inner = [Item((letter,), ORD, font, True) for letter in node.name if letter != " "]
    else:
        inner = canonicalizer.body(node.body, style, state, loose)
    goes_over = node.limits and has_scripts and style < 2
    if inner and all(item.font == ("\\mathrm",) and len(item.tokens) == 1 for item in inner):
        return _named(node, inner, goes_over, has_scripts and style < 2)
    if len(inner) == 1 and inner[0].atom == OP and not has_scripts:
        return inner[0]
    is_function = node.body is None or node.source.startswith("\\operatorname")
    if is_function and has_scripts and not goes_over:
        return Item((*group(("\\mathop",), spell(inner, style)), *(("\\nolimits",) if style < 2 else ())), OP)
    return Item(group(("\\mathop",), spell(inner, style)), OP)


def _is_command(node: Operator) -> bool:
    """Whether the function has a command of its own in canonical form."""
    is_known = node.name in FUNCTIONS or node.name in LIMIT_FUNCTIONS
    return is_known or node.source in sym.DECORATED_LIMITS or " " in node.name


def _named(node: Operator, inner: list[Item], goes_over: bool, limits_matter: bool) -> Unit:
    r"""An upright word: the function of that name, or `\operatorname` where it must be one, or `\mathrm`."""
    letters = tuple(item.tokens[0] for item in inner)
    word = "".join(letters)
    if (word in FUNCTIONS or word in LIMIT_FUNCTIONS) and (
        not limits_matter or (word in LIMIT_FUNCTIONS) == node.limits
    ):
        return Item(("\\" + word,), OP)
    named = Item(group(("\\operatorname", *("*" * goes_over)), letters), OP)
    return named if goes_over else Choice(tuple(inner), named)


def canonical_classed(
    canonicalizer: Canonicalizer, node: Classed, style: int, state: State, loose: bool
) -> Unit | list[Unit]:
    atom = CLASS[node.atom]
    if node.source == "\\bmod":
        return Item(("\\bmod",), BIN)
    if node.source == "" and isinstance(node.body, Symbol):
        return delimiter_symbol(node.body.source, atom == OPEN)
    inner = canonicalizer.body(node.body, style, state, loose)
    otherwise = Item(group((node.source,), spell(inner, style)), atom)
    return Choice(tuple(inner), otherwise)


def canonical_macro(
    canonicalizer: Canonicalizer, node: Macro, style: int, state: State, loose: bool
) -> Unit | list[Unit]:
    if node.source in _DOUBLE_ARROWS:
        thick = space(5 / 18 * scale_of(style))
        return [thick, Item((_DOUBLE_ARROWS[node.source],), REL), thick]
    if node.source == "\\tag":
        (words,) = node.arguments
        assert isinstance(words, Text)
        return canonical_tag(canonicalizer, words)
    if node.source in ("\\qed", "\\qedhere"):
        return Item(("\\qed",), ORD, (), False, False)
    if node.source in ("\\pmod", "\\mod", "\\pod"):
        return Item(group((node.source,), canonicalizer.spelt(node.arguments[0], style, state, loose)), ORD)
    return braced(canonicalizer.items(node.expansion.items, style, state, loose), style)
