"""Items as tokens: letters of one font under one command, spaces on a grid of a third of an em."""

from collections.abc import Sequence
from functools import lru_cache

from texlens.latex.canonical.items import STYLE, Item, gaps_stay
from texlens.latex.canonical.synonyms import FUNCTIONS, LIMIT_FUNCTIONS
from texlens.latex.layout.fonts import math_font
from texlens.latex.layout.spacing import OP, ORD, SPACE

_GRID_EM = 1 / 3
_LONGEST_RUN = 18


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
    """Neighboring spaces added up and spelt; those that round to nothing go, and those at the ends of a formula."""
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
    r"""A gap, rounded to thirds of an em: as many `\qquad`, `\quad` and `\ ` as it takes; `\!` backwards."""
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
