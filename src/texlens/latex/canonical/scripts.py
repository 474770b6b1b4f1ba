"""Scripts in canonical form: always in braces, the lower one first, on a base with as few braces as it can have."""

from collections.abc import Sequence
from dataclasses import replace

from texlens.latex.canonical.canonicalizer import Canonicalizer, braced, canonical_symbol
from texlens.latex.canonical.items import Choice, Item, Unit
from texlens.latex.canonical.operators import canonical_operator
from texlens.latex.canonical.printing import group, space_tokens, spell, wrap
from texlens.latex.canonical.synonyms import LIMIT_FUNCTIONS
from texlens.latex.layout.engine import State, subscript_style, superscript_style
from texlens.latex.layout.spacing import CLOSE, INNER, OP, ORD, SPACE
from texlens.latex.parse import symbols as sym
from texlens.latex.parse.nodes import Delimited, FontChange, Operator, Row, Scripts, Sideset, Stretch, Symbol


def canonical_scripts(
    canonicalizer: Canonicalizer, node: Scripts, style: int, state: State, loose: bool
) -> Unit | list[Unit]:
    sub = None if node.sub is None else canonicalizer.spelt(node.sub, subscript_style(style), state, loose)
    sup = None if node.sup is None else canonicalizer.spelt(node.sup, superscript_style(style), state, loose)
    if sub == () or sup == ():
        canonicalizer.kept.append(Item((), ORD))
    if not sub and (loose or not sup):
        sub = None
    if not sup and (loose or not sub):
        sup = None
    node = _without_mathop(node, style)
    base, limits = node.base, _limits(node, style)
    suffix: tuple[str, ...] = limits if sub is not None or sup is not None else ()
    if sub is not None:
        suffix += group(("_",), sub)
    if sup is not None:
        suffix += group(("^",), sup)
    if base is None:
        return Item(("{", "}", *suffix), ORD, (), False, False) if suffix else braced([], style)
    if isinstance(base, Symbol):
        return _attached(canonical_symbol(base, state), suffix, style, loose)
    if isinstance(base, Operator):
        unit: Unit | list[Unit] = canonical_operator(canonicalizer, base, style, state, loose, has_scripts=bool(suffix))
    else:
        unit = canonicalizer.methods[type(base)](canonicalizer, base, style, state, loose)
    if isinstance(base, Delimited):
        loose = loose and canonicalizer.fences.moves_scripts_little(base, style)
    is_bold_operator = isinstance(base, FontChange) and isinstance(unit, Item) and unit.atom == OP
    if isinstance(unit, Item) and (is_bold_operator or not unit.is_base) and suffix and not unit.font:
        unit = Item(("{", *spell((unit,), style), "}"), ORD)
    if isinstance(unit, Choice) and not unit.is_group:
        canonicalizer.kept.append(unit.otherwise)
    return _attached(unit, suffix, style, loose)


def _without_mathop(node: Scripts, style: int) -> Scripts:
    r"""`\mathop{\sum}` is `\sum` with limits in display style, `\mathop{\int}` is `\int\limits`."""
    base = node.base
    if not isinstance(base, Operator) or base.body is None:
        return node
    only = base.body
    while isinstance(only, Row) and len(only.items) == 1:
        only = only.items[0]
    if not isinstance(only, Symbol) or only.atom != "op":
        return node
    goes_over = node.limits == "\\limits" or (base.limits and node.limits != "\\nolimits" and style < 2)
    return replace(node, base=only, limits="\\limits" if goes_over else "\\nolimits")


def _limits(node: Scripts, style: int) -> tuple[str, ...]:
    r"""`\limits` or `\nolimits` where it makes a difference."""
    base, limits = node.base, node.limits
    if limits is None or limits == "\\displaylimits" or base is None:
        return ()
    if isinstance(base, Stretch) and base.source in sym.BRACES:
        return ()
    if isinstance(base, Symbol) and base.atom == "op":
        natural = base.source in sym.LIMIT_OPERATORS and style < 2
    elif isinstance(base, Sideset):
        natural = getattr(base.base, "source", "") in sym.LIMIT_OPERATORS and style < 2
    elif isinstance(base, Operator):
        natural = base.limits and style < 2
    else:
        return (limits,) if limits == "\\limits" else ()
    return () if natural == (limits == "\\limits") else (limits,)


def _attached(unit: Unit | list[Unit], suffix: tuple[str, ...], style: int, loose: bool) -> Unit | list[Unit]:
    if not suffix:
        return unit
    if isinstance(unit, list):
        return [_attached(part, suffix, style, loose) if _is_atom(part) else part for part in unit]  # type: ignore[misc]
    if isinstance(unit, Choice) and suffix[0] in ("\\limits", "\\nolimits"):
        return _with(unit.otherwise, suffix)
    if isinstance(unit, Choice) and unit.is_group:
        return _on_group(unit, suffix, style, loose)
    if isinstance(unit, Choice):
        if unit.preferred and _end_is_one_run(unit.preferred):
            word = Item((*wrap(unit.preferred[0].font, _letters(unit.preferred)), *suffix), ORD, (), False, False)
            return Choice((word,), _with(unit.otherwise, suffix))
        if (len(unit.preferred) == 1 and unit.preferred[0].is_base) or (
            loose and unit.preferred and unit.preferred[-1].is_character
        ):
            return Choice((*unit.preferred[:-1], _with(unit.preferred[-1], suffix)), _with(unit.otherwise, suffix))
        return _with(unit.otherwise, suffix)
    return _with(unit, suffix)


def _is_atom(unit: Unit) -> bool:
    return not isinstance(unit, Item) or unit.atom >= 0


def _with(item: Item, suffix: tuple[str, ...]) -> Item:
    """A base with its scripts; braces go around a base that can't carry them bare."""
    base = tuple(wrap(item.font, item.tokens)) if item.font else item.tokens
    return Item((*base, *suffix), item.atom, (), False, False)


def _on_group(unit: Choice, suffix: tuple[str, ...], style: int, loose: bool) -> Unit:
    """A group with scripts: without braces where they change nothing, or little and that is allowed."""
    inner = [item for item in unit.preferred if item.atom != SPACE or space_tokens(item.em, style)]
    if len(inner) == 1 and inner[0].is_base and inner[0].atom in (ORD, INNER):
        return _with(inner[0], suffix)
    tokens = spell(unit.preferred, style)
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
