"""What canonical form is made of: tokens with the atom classes that they show to their neighbors.

A row is first a list of units. Where two spellings of a unit are possible (`{ x }` and `x`), the simpler one is taken
if the gaps around it stay what they are to within a thin space.
"""

from collections.abc import Sequence
from functools import cache
from itertools import islice
from typing import NamedTuple

from texlens.latex.layout.spacing import ORD, SPACE, THIN_SPACE, gap, settled

STYLE = -3
_TOLERANCE = THIN_SPACE + 1e-6


class Item(NamedTuple):
    """Tokens of one atom, its class, and the font commands that go around them; a space has its width in `em`."""

    tokens: tuple[str, ...]
    atom: int
    font: tuple[str, ...] = ()
    is_character: bool = False
    is_base: bool = True
    em: float = 0.0


class Choice(NamedTuple):
    """`preferred` where the gaps allow it, else `otherwise`."""

    preferred: tuple[Item, ...]
    otherwise: Item
    is_group: bool = False


Unit = Item | Choice


STYLES = {"\\displaystyle": 0, "\\textstyle": 2, "\\scriptstyle": 4, "\\scriptscriptstyle": 6}
STYLE_TOKENS = {style: token for token, style in STYLES.items()}


def style_item(style: int) -> Item:
    return Item((STYLE_TOKENS[style & ~1],), STYLE, (), False, False)


def space(em: float) -> Item:
    return Item((), SPACE, em=em)


def assemble(units: Sequence[Unit], style: int, long_forms: list[Item]) -> list[Item]:
    """The items of a row, each choice made; those that had to be spelt the longer way go to `long_forms` too."""
    if all(isinstance(unit, Item) for unit in units):
        out: list[Item] = list(units)  # type: ignore[arg-type]
    else:
        out = _chosen(units, style, long_forms)
    return _styles_settled(out, style) if _holds_style(out) else out


def _chosen(units: Sequence[Unit], style: int, long_forms: list[Item]) -> list[Item]:
    out: list[Item] = []
    following = _next_classes(units)
    before = -1
    for i, unit in enumerate(units):
        after = following[i + 1]
        if isinstance(unit, Item):
            taken: Sequence[Item] = (unit,)
        else:
            free = _is_free(unit, before, after, style) and not (
                _holds_style(unit.preferred) and _has_ink(units, i + 1)
            )
            taken = unit.preferred if free else (unit.otherwise,)
            if not free:
                long_forms.append(unit.otherwise)
        out += taken
        before = next((item.atom for item in reversed(taken) if item.atom >= 0), before)
    return out


def _next_classes(units: Sequence[Unit]) -> list[int]:
    """For each place, the class of the first atom from there on; -1 where none follows."""
    classes = [-1] * (len(units) + 1)
    for i in range(len(units) - 1, -1, -1):
        unit = units[i]
        items = (unit,) if isinstance(unit, Item) else unit.preferred
        classes[i] = next((item.atom for item in items if item.atom >= 0), classes[i + 1])
    return classes


def _styles_settled(items: list[Item], style: int) -> list[Item]:
    """Changes of style put off to the first item that they act on, and left out where there is none."""
    out: list[Item] = []
    here = target = style & ~1
    for item in items:
        if item.atom == STYLE:
            target = STYLES[item.tokens[0]]
        else:
            acts = not (item.atom == SPACE or item.is_character) or max(here, target) >= 4
            if target != here and acts:
                here = target
                out.append(style_item(here))
            out.append(item)
    return out


def _holds_style(items: Sequence[Item]) -> bool:
    return any(item.atom == STYLE for item in items)


def _has_ink(units: Sequence[Unit], start: int) -> bool:
    return any(not isinstance(unit, Item) or unit.atom != SPACE for unit in islice(units, start, None))


def _is_free(unit: Choice, before: int, after: int, style: int) -> bool:
    classes = [item.atom for item in unit.preferred if item.atom >= 0]
    ends = (classes[0], classes[-1]) if len(classes) > 1 else tuple(classes)
    return gaps_stay(before, ends, (unit.otherwise.atom,), after, style >= 4)


@cache
def gaps_stay(before: int, new: tuple[int, ...], old: tuple[int, ...], after: int, is_script: bool) -> bool:
    """Whether atoms of classes `new` may replace those of `old` between two neighbors (-1: none)."""
    first, last = _around(before, new, after, is_script), _around(before, old, after, is_script)
    if len(new) == 0:
        return first[0] == last[0] and first[3] == last[3] and abs(first[1] - last[1] - last[2]) <= _TOLERANCE
    return (
        first[0] == last[0]
        and first[3] == last[3]
        and abs(first[1] - last[1]) <= _TOLERANCE
        and abs(first[2] - last[2]) <= _TOLERANCE
    ) or is_script


def _around(before: int, classes: tuple[int, ...], after: int, is_script: bool) -> tuple[int, float, float, int]:
    """Settled class of the left neighbor, gap after it, gap before the right neighbor, its class."""
    middle = (classes[0], ORD, classes[-1]) if len(classes) == 2 else classes
    before_row, after_row = ((ORD, before) if before >= 0 else ()), ((after, ORD) if after >= 0 else ())
    settled_classes = settled([(atom, None, 0) for atom in (*before_row, *middle, *after_row)])  # type: ignore[misc]
    style = 4 if is_script else 0
    left = settled_classes[1] if before >= 0 else -1
    right = settled_classes[-2] if after >= 0 else -1
    at_left = gap(left, settled_classes[2], style) if before >= 0 and len(settled_classes) > 2 else 0.0
    at_right = gap(settled_classes[-3], right, style) if after >= 0 and len(settled_classes) > 2 and classes else 0.0
    return left, at_left, at_right, right
