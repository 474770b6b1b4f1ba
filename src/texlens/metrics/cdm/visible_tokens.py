r"""The tokens that a formula shows, each with a name, the box of its ink, and its place in the structure.

A function name and dots are split into letters, a radical sign and its rule are one token; font changes, spaces, braces
and `\left` show nothing. The name is what is drawn, so `\le` and `\leq` are one; bold and italic letters share a
name, as the authors have it.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from texlens.latex.parse.nodes import (
    Accent,
    Arrow,
    Boxed,
    Fraction,
    Matrix,
    Negated,
    Operator,
    Radical,
    Scripts,
    Stack,
    Stretch,
    Symbol,
    Text,
)
from texlens.latex.parse.symbols import DELIMITERS
from texlens.metrics.cdm.ink_groups import Extent, Fence, Group, Slot, ink_groups
from texlens.metrics.cdm.rules import PADDING, PIXELS_PER_EM

DOTS = frozenset("…⋯")
_LOOKALIKES: dict[str, str] = dict(zip("∣∥⋅·∗⊤′∶–−ΑΒΕΖΗΙΚΜΝΟΡΤΧο∖", "|‖..*T':--ABEZHIKMNOPTXo\\", strict=True))

Names = Callable[[Group], list[tuple[str, Sequence[int]]]]
"""The tokens of a group: a name, and which of the group's inks it is made of."""


class VisibleToken(NamedTuple):
    """`look` is shared by near-synonyms. `scripts` lists the scripts around the token, outermost first; `within` the
    fractions, radicals, accents and frames around it, as (index of that token, place in it); `inks` the numbers of its
    glyphs and rules."""

    name: str
    look: str
    extent: Extent
    scripts: tuple[str, ...] = ()
    within: tuple[tuple[int, str], ...] = ()
    inks: tuple[int, ...] = ()


class Picture(NamedTuple):
    """Tokens, their boxes in pixels (left, top, right, bottom; y down), and the picture's width and height."""

    tokens: Sequence[VisibleToken]
    boxes_N4: np.ndarray  # noqa: N815
    size: tuple[float, float]


def picture(formula: str) -> Picture:
    """What a formula shows.

    Raises:
        LatexError: it can't be drawn.
    """
    return pictured(tokens_of(ink_groups(formula), names, look))


def pictured(tokens: Sequence[VisibleToken]) -> Picture:
    if not tokens:
        return Picture((), np.zeros((0, 4)), (1.0, 1.0))
    extents = np.array([token.extent for token in tokens]) * PIXELS_PER_EM
    left, top = extents[:, 0].min(), extents[:, 3].max()
    size = (extents[:, 2].max() - left + 2 * PADDING, top - extents[:, 1].min() + 2 * PADDING)
    boxes = np.empty_like(extents)
    boxes[:, 0] = extents[:, 0] - left + PADDING - 1
    boxes[:, 1] = top - extents[:, 3] + PADDING - 1
    boxes[:, 2] = extents[:, 2] - left + PADDING + 1
    boxes[:, 3] = top - extents[:, 1] + PADDING + 1
    return Picture(tokens, boxes, size)


def tokens_of(groups: Sequence[Group], names: Names, look: Callable[[str], str]) -> list[VisibleToken]:
    """Tokens in the order of the source; a container comes before what it contains."""
    tokens: list[VisibleToken] = []
    owned: dict[int, int] = {}
    places: dict[int, tuple[tuple[str, ...], tuple[tuple[int, str], ...]]] = {}
    for group in groups:
        scripts, within = places[id(group)] = _surroundings(group, places, owned)
        if group.extents:
            owned[id(group)] = len(tokens)
            for name, parts in names(group):
                extent = united([group.extents[part] for part in parts])
                inks = tuple([group.numbers[part] for part in parts])
                tokens.append(VisibleToken(name, look(name), extent, scripts, within, inks))
    return tokens


def names(group: Group) -> list[tuple[str, Sequence[int]]]:
    """VisibleToken names by the drawn characters."""
    node, inks = group.node, group.inks
    if isinstance(node, Text):
        return by_source(group)
    if isinstance(node, Operator):
        return by_character(group)
    if isinstance(node, Matrix):
        return [(f"line {source}", (part,)) for part, (_, source) in enumerate(inks)]
    if isinstance(node, Symbol):
        if node.character in DOTS:
            return [(".", (part,)) for part in range(len(inks))]
        name = node.character
    elif isinstance(node, Fence):
        name = DELIMITERS.get(node.token, node.token)
    elif isinstance(node, Negated):
        name = "".join(character for character, _ in inks)
    elif isinstance(node, Accent):
        name = f"accent {node.character}"
    elif isinstance(node, Arrow):
        name = node.character
    elif isinstance(node, Fraction):
        name = "\\frac"
    else:
        name = "\\sqrt" if isinstance(node, Radical) else inks[0][1]
    return [(name, range(len(inks)))]


def by_source(group: Group) -> list[tuple[str, Sequence[int]]]:
    return [(source, (part,)) for part, (_, source) in enumerate(group.inks)]


def by_character(group: Group) -> list[tuple[str, Sequence[int]]]:
    return [(character, (part,)) for part, (character, _) in enumerate(group.inks)]


def look(name: str) -> str:
    return _LOOKALIKES.get(name, name)


def united(extents: Sequence[Extent]) -> Extent:
    if len(extents) == 1:
        return extents[0]
    lefts, bottoms, rights, tops = zip(*extents, strict=True)
    return min(lefts), min(bottoms), max(rights), max(tops)


def _surroundings(
    group: Group, places: dict[int, tuple[tuple[str, ...], tuple[tuple[int, str], ...]]], owned: dict[int, int]
) -> tuple[tuple[str, ...], tuple[tuple[int, str], ...]]:
    """Scripts and containers around a group; those of its parents are known."""
    parent = group.parent
    if parent is None:
        return (), ()
    scripts, within = places[id(parent)]
    node, around = group.node, parent.node
    if isinstance(node, Slot):
        if isinstance(around, Scripts | Stack | Arrow):
            scripts = (*scripts, node.name)
        elif id(parent) in owned:
            within = (*within, (owned[id(parent)], node.name))
    elif isinstance(around, Accent | Stretch | Boxed) and id(parent) in owned:
        within = (*within, (owned[id(parent)], "in"))
    return scripts, within
