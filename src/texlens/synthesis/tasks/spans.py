r"""One part of the formula alone: the second superscript, the first numerator.

question   Read only superscript 2 of the formula.
answer     n + 1                 (in canonical form; parts are counted from the left, outer ones first)
"""

import random
from collections import defaultdict
from typing import NamedTuple

from texlens.latex.canonical.form import canonical
from texlens.synthesis.tasks.protocol import FormulaTask, TaskPair

OF_COMMAND = {
    "\\frac": ("numerator", "denominator"),
    "\\sqrt": ("radicand",),
    "_": ("subscript",),
    "^": ("superscript",),
}
"""What the groups after a token are."""


class FormulaPart(NamedTuple):
    role: str
    number: int
    text: str


def parts_of(formula: str) -> list[FormulaPart]:
    """All parts of a formula in canonical form, in the order of their first tokens."""
    tokens, counts, parts = formula.split(), defaultdict(int), []
    for index, token in enumerate(tokens):
        at = index + 1
        for role in OF_COMMAND.get(token, ()):
            at = _after_bracket(tokens, at) if role == "radicand" else at
            end = _closing(tokens, at)
            if end is None:
                break
            counts[role] += 1
            if text := " ".join(tokens[at + 1 : end]):
                parts.append(FormulaPart(role, counts[role], text))
            at = end + 1
    return parts


def _closing(tokens: list[str], opening: int) -> int | None:
    """The brace that closes the group which begins here; None where none begins."""
    depth = 0
    for index in range(opening, len(tokens)):
        depth += (tokens[index] == "{") - (tokens[index] == "}")
        if depth == 0:
            return index if tokens[opening] == "{" else None
    return None


def _after_bracket(tokens: list[str], at: int) -> int:
    """Past the `[ … ]` of a root's degree, whose brackets are not within braces."""
    if tokens[at : at + 1] != ["["]:
        return at
    depth = 0
    for index in range(at, len(tokens)):
        depth += (tokens[index] == "{") - (tokens[index] == "}")
        if tokens[index] == "]" and depth == 0:
            return index + 1
    return at


def _make(formula: str, rng: random.Random) -> TaskPair | None:
    form = canonical(formula)
    parts = [] if form.problem is not None else parts_of(form.text)
    if not parts:
        return None
    part = rng.choice(parts)
    return TaskPair(f"Read only {part.role} {part.number} of the formula.", part.text)


SPANS = FormulaTask("spans", _make, "one part of the formula alone")
