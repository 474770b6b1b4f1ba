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
    is_group: bool = False


class Dots(NamedTuple):
    r"""`\dots`: centred before a binary operator or a relation."""

    low: Item
    centred: Item


Unit = Item | Choice | Dots


STYLES = {"\\displaystyle": 0, "\\textstyle": 2, "\\scriptstyle": 4, "\\scriptscriptstyle": 6}
STYLE_TOKENS = {style: token for token, style in STYLES.items()}


def style_item(style: int) -> Item:
    return Item((STYLE_TOKENS[style & ~1],), STYLE, (), False, False)


def space(em: float) -> Item:
    return Item((), SPACE, em=em)


def assemble(units: Sequence[Unit], style: int) -> list[Item]:
    """The items of a row, each choice made."""
    if all(type(unit) is Item for unit in units):
        out: list[Item] = list(units)  # type: ignore[arg-type]
    else:
        out = _chosen(units, style)
    return _styles_settled(out, style) if _holds_style(out) else out


def _chosen(units: Sequence[Unit], style: int) -> list[Item]:
    out: list[Item] = []
    following = _next_classes(units)
    before = -1
    for i, unit in enumerate(units):
        after = following[i + 1]
        if type(unit) is Item:
            taken: Sequence[Item] = (unit,)
        elif type(unit) is Choice:
            free = _is_free(unit, before, after, style) and not (_holds_style(unit.wanted) and _has_ink(units, i + 1))
            taken = unit.wanted if free else (unit.otherwise,)
        else:
            taken = (unit.centred if after in (BIN, REL) else unit.low,)
        out += taken
        before = next((item.atom for item in reversed(taken) if item.atom >= 0), before)
    return out


def _next_classes(units: Sequence[Unit]) -> list[int]:
    """For each place, the class of the first atom from there on; -1 where none follows."""
    found = [-1] * (len(units) + 1)
    for i in range(len(units) - 1, -1, -1):
        unit = units[i]
        items = (unit,) if type(unit) is Item else unit.wanted if type(unit) is Choice else (unit.low,)
        found[i] = next((item.atom for item in items if item.atom >= 0), found[i + 1])
    return found


def _styles_settled(items: list[Item], style: int) -> list[Item]:
    """Changes of style put off to the first item that they act on, and left out where there is none."""
    out: list[Item] = []
    here = wanted = style & ~1
    for item in items:
        if item.atom == STYLE:
            wanted = STYLES[item.tokens[0]]
        else:
            acts = not (item.atom == SPACE or item.is_character) or max(here, wanted) >= 4
            if wanted != here and acts:
                here = wanted
                out.append(style_item(here))
            out.append(item)
    return out


def _holds_style(items: Sequence[Item]) -> bool:
    return any(item.atom == STYLE for item in items)


def _has_ink(units: Sequence[Unit], start: int) -> bool:
    return any(type(units[i]) is not Item or units[i].atom != SPACE for i in range(start, len(units)))


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
    before_row, after_row = ((ORD, before) if before >= 0 else ()), ((after, ORD) if after >= 0 else ())
    found = settled([(atom, None, 0) for atom in (*before_row, *middle, *after_row)])  # type: ignore[misc]
    style = 4 if is_script else 0
    left = found[1] if before >= 0 else -1
    right = found[-2] if after >= 0 else -1
    at_left = gap(left, found[2], style) if before >= 0 and len(found) > 2 else 0.0
    at_right = gap(found[-3], right, style) if after >= 0 and len(found) > 2 and classes else 0.0
    return left, at_left, at_right, right


# Tokens of a row


def spell(items: Sequence[Item], style: int, is_outermost: bool = False) -> tuple[str, ...]:
    """The tokens of items side by side: letters of one font under one command, spaces on a grid."""
    if any(item.atom == SPACE for item in items):
        items = _visible(items, style, is_outermost)
    tokens: list[str] = []
    i, count = 0, len(items)
    while i < count:
        item = items[i]
        if not item.font:
            tokens += item.tokens
            i += 1
            continue
        end = _end_of_run(items, i)
        tokens += _spell_run(items, i, end, style)
        i = end
    return tuple(tokens)


def _visible(items: Sequence[Item], style: int, is_outermost: bool) -> list[Item]:
    """Neighbouring spaces added up and spelt; those that round to nothing go, and those at the ends of a formula."""
    out: list[Item] = []
    em = 0.0
    for item in (*items, _END):
        if item.atom == SPACE:
            em += item.em
            continue
        if em and not (is_outermost and (not out or item is _END)):
            tokens = space_tokens(em, style)
            if tokens:
                out.append(Item(tokens, SPACE))
        em = 0.0
        if item is not _END:
            out.append(item)
    return out


_END = Item((), STYLE)


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
    before = next((items[i].atom for i in range(start - 1, -1, -1) if items[i].atom >= 0), -1)
    after = next((items[i].atom for i in range(end, len(items)) if items[i].atom >= 0), -1)
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
