r"""Deliberate slips in formulas: a sign, an index, a bracket or a digit that is wrong, and the formula still parses.

A model that reads what is written keeps them; one that writes what it expects corrects them in silence
(`error_preservation` measures that).
"""

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from texlens.latex.canonical.form import canonical

KINDS = ("sign", "index", "bracket", "digit")
_SIGNS = {"+": "-", "-": "+", "\\pm": "\\mp", "\\mp": "\\pm"}
_BRACKETS = frozenset("()[]")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Slip(NamedTuple):
    """A formula with a slip, the formula without it, and what kind it is."""

    text: str
    corrected: str
    kind: str


def with_slip(formula: str, rng: random.Random) -> Slip | None:
    """One slip in a formula, both in canonical form; None where there is no place for one.

    Example:
        with_slip("x + 2", rng) may be Slip("x - 2", "x + 2", "sign")
    """
    form = canonical(formula)
    if form.problem is not None:
        return None
    tokens = form.text.split()
    kinds = list(KINDS)
    rng.shuffle(kinds)
    for kind in kinds:
        places = [i for i in range(len(tokens)) if _PLACES[kind](tokens, i)]
        rng.shuffle(places)
        for index in places:
            changed = canonical(" ".join(_CHANGES[kind](tokens, index, rng)))
            if changed.problem is None and changed.tokens != form.tokens:
                return Slip(changed.text, form.text, kind)
    return None


def _is_sign(tokens: Sequence[str], i: int) -> bool:
    return tokens[i] in _SIGNS and i > 0


def _is_index(tokens: Sequence[str], i: int) -> bool:
    is_alone = 1 < i < len(tokens) - 1 and tokens[i - 1] == "{" and tokens[i + 1] == "}"
    return is_alone and tokens[i - 2] in ("_", "^") and len(tokens[i]) == 1 and tokens[i].isalnum()


def _is_bracket(tokens: Sequence[str], i: int) -> bool:
    before = tokens[i - 1] if i else ""
    return tokens[i] in _BRACKETS and not before.startswith(("\\left", "\\right", "\\sqrt", "\\b", "\\B", "\\middle"))


def _is_digit(tokens: Sequence[str], i: int) -> bool:
    return tokens[i].isdecimal() and len(tokens[i]) == 1 and not _is_index(tokens, i)


def _other_sign(tokens: Sequence[str], i: int, rng: random.Random) -> list[str]:
    return [*tokens[:i], _SIGNS[tokens[i]], *tokens[i + 1 :]]


def _other_index(tokens: Sequence[str], i: int, rng: random.Random) -> list[str]:
    alphabet = "0123456789" if tokens[i].isdecimal() else _LETTERS
    others = [letter for letter in alphabet if letter != tokens[i].lower()]
    return [*tokens[:i], rng.choice(others), *tokens[i + 1 :]]


def _without(tokens: Sequence[str], i: int, rng: random.Random) -> list[str]:
    return [*tokens[:i], *tokens[i + 1 :]]


_Condition = Callable[[Sequence[str], int], bool]
_Change = Callable[[Sequence[str], int, random.Random], list[str]]
_PLACES: dict[str, _Condition] = {"sign": _is_sign, "index": _is_index, "bracket": _is_bracket, "digit": _is_digit}
_CHANGES: dict[str, _Change] = {
    "sign": _other_sign,
    "index": _other_index,
    "bracket": _without,
    "digit": _other_index,
}
