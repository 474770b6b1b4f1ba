"""What canonical form is made of: tokens with the atom classes that they show to their neighbours.

A row is first a list of units. Where two spellings of a unit are possible (`{ x }` and `x`), the simpler one is taken if
the gaps around it stay what they are to within a thin space.
"""

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import NamedTuple

from texlens.latex.fonts import math_font
from texlens.latex.spacing import BIN, OP, ORD, REL, SPACE, THIN, gap, settled
from texlens.latex.synonyms import FUNCTIONS, LIMIT_FUNCTIONS

STYLE = -3
_TOLERANCE = THIN + 1e-6
_GRID_EM = 1 / 3
_LONGEST_RUN = 18


class Item(NamedTuple):
    """Tokens of one atom, its class, and the font commands that go around them; a space has its width in `em`."""

    tokens: tuple[str, ...]
    atom: int
    font: tuple[str, ...] = ()
    is_character: bool = False
    is_base: bool = True
    em: float = 0.0


class Choice(NamedTuple):
    """`wanted` where the gaps allow it, else `otherwise`."""

    wanted: tuple[Item, ...]
    otherwise: Item


class Dots(NamedTuple):
    r"""`\dots`: centred before a binary operator or a relation."""

    low: Item
    centred: Item


Unit = Item | Choice | Dots


def space(em: float) -> Item:
    return Item((), SPACE, em=em)


def assemble(units: Sequence[Unit], style: int) -> list[Item]:
    """The items of a row, each choice made."""
    out: list[Item] = []
    before = -1
    for i, unit in enumerate(units):
        if type(unit) is Item:
            out.append(unit)
        elif type(unit) is Choice:
            after = _next_class(units, i + 1)
            if _is_free(unit, before, after, style) and not (_holds_style(unit.wanted) and _has_ink(units, i + 1)):
                out += unit.wanted
            else:
                out.append(unit.otherwise)
        else:
            after = _next_class(units, i + 1)
            out.append(unit.centred if after in (BIN, REL) else unit.low)
        for item in reversed(out):
            if item.atom >= 0:
                before = item.atom
                break
    return out


def _holds_style(items: Sequence[Item]) -> bool:
    return any(item.atom == STYLE for item in items)


def _has_ink(units: Sequence[Unit], start: int) -> bool:
    return any(type(unit) is not Item or unit.atom != SPACE for unit in units[start:])


def _next_class(units: Sequence[Unit], start: int) -> int:
    """The class of the next atom; -1 at the end."""
    for i in range(start, len(units)):
        unit = units[i]
        if type(unit) is Item:
            if unit.atom >= 0:
                return unit.atom
        elif type(unit) is Choice:
            for item in unit.wanted:
                if item.atom >= 0:
                    return item.atom
        else:
            return unit.low.atom
    return -1


def _is_free(unit: Choice, before: int, after: int, style: int) -> bool:
    classes = [item.atom for item in unit.wanted if item.atom >= 0]
    ends = (classes[0], classes[-1]) if len(classes) > 1 else tuple(classes)
    return gaps_stay(before, ends, (unit.otherwise.atom,), after, style >= 4)


@cache
def gaps_stay(before: int, new: tuple[int, ...], old: tuple[int, ...], after: int, is_script: bool) -> bool:
    """Whether atoms of classes `new` may stand for those of `old` between two neighbours (-1: none)."""
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
    """Settled class of the left neighbour, gap after it, gap before the right neighbour, its class."""
    middle = (classes[0], ORD, classes[-1]) if len(classes) == 2 else classes
    row = [*([before] if before >= 0 else []), *middle, *([after] if after >= 0 else [])]
    found = settled([(atom, None, 0) for atom in row])  # type: ignore[misc]
    style = 4 if is_script else 0
    left = found[0] if before >= 0 else -1
    right = found[-1] if after >= 0 else -1
    at_left = gap(found[0], found[1], style) if before >= 0 and len(found) > 1 else 0.0
    at_right = gap(found[-2], found[-1], style) if after >= 0 and len(found) > 1 else 0.0
    if not classes:
        at_right = 0.0
    return left, at_left, at_right, right


# Tokens of a row


def spell(items: Sequence[Item], style: int, is_outermost: bool = False) -> tuple[str, ...]:
    """The tokens of items side by side: letters of one font under one command, spaces on a grid."""
    tokens: list[str] = []
    em = 0.0
    i, count = 0, len(items)
    while i < count:
        item = items[i]
        if item.atom == SPACE:
            em += item.em
            i += 1
            continue
        if em:
            if tokens or not is_outermost:
                tokens += space_tokens(em, style)
            em = 0.0
        if not item.font:
            tokens += item.tokens
            i += 1
            continue
        end = _end_of_run(items, i)
        tokens += _spell_run(items, i, end, style)
        i = end
    if em and not is_outermost:
        tokens += space_tokens(em, style)
    return tuple(tokens)


def _end_of_run(items: Sequence[Item], start: int) -> int:
    """Past the last of the letters from `start` that share its font."""
    first = items[start]
    end = start + 1
    if first.atom == ORD:
        while end < len(items) and items[end].font == first.font and items[end].atom == ORD:
            end += 1
    return end


def _spell_run(items: Sequence[Item], start: int, end: int, style: int) -> list[str]:
    letters = [token for item in items[start:end] for token in item.tokens]
    font = items[start].font
    if font == ("\\mathrm",):
        word = "".join(letters)
        if (word in FUNCTIONS or word in LIMIT_FUNCTIONS) and _may_be_operator(items, start, end, style):
            return ["\\" + word]
    if font == ("\\mathit",) and len(letters) == 1 and letters[0].isalpha():
        return letters
    return wrap(font, letters)


def _may_be_operator(items: Sequence[Item], start: int, end: int, style: int) -> bool:
    before = next((item.atom for item in reversed(items[:start]) if item.atom >= 0), -1)
    after = next((item.atom for item in items[end:] if item.atom >= 0), -1)
    return gaps_stay(before, (OP,), (ORD,), after, style >= 4)


def wrap(commands: Sequence[str], tokens: Sequence[str]) -> list[str]:
    r"""`\a { \b { … } }`."""
    opened = [part for command in commands for part in (command, "{")]
    return [*opened, *tokens, *("}" for _ in commands)]


def group(commands: Sequence[str], *bodies: Sequence[str]) -> tuple[str, ...]:
    r"""Commands, then each body in braces."""
    tokens = list(commands)
    for body in bodies:
        tokens += ("{", *body, "}")
    return tuple(tokens)


@lru_cache(maxsize=4096)
def space_tokens(em: float, style: int) -> tuple[str, ...]:
    r"""A gap, rounded to thirds of an em: nothing, or as many `\qquad`, `\quad` and `\ ` as it takes; `\!` backwards."""
    thirds = em / _GRID_EM
    steps = int(abs(thirds) + 0.5 - 1e-6)
    if steps == 0:
        return ()
    if steps > _LONGEST_RUN:
        return ("\\hspace", "{" + f"{'-' * (em < 0)}{steps * _GRID_EM:.3f}".rstrip("0").rstrip(".") + "em}")
    if em < 0:
        scale = _sizes()[style >> 1]
        return ("\\!",) * max(1, round(2 * steps / scale))
    return ("\\qquad",) * (steps // 6) + ("\\quad",) * (steps % 6 // 3) + ("\\ ",) * (steps % 3)


@lru_cache(maxsize=1)
def _sizes() -> tuple[float, float, float, float]:
    constants = math_font("latin-modern").constants
    return 1.0, 1.0, constants["ScriptPercentScaleDown"], constants["ScriptScriptPercentScaleDown"]


def scale_of(style: int) -> float:
    return _sizes()[style >> 1]
