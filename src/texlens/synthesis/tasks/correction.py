r"""A reading of the formula that may be wrong, and what must be changed in it.

The question holds a reading in canonical form: in three of four cases with a slip (`synthesis.slips`). The answer lists
the differences, a line each, by position among the reading's tokens (from 1), or says that there is none; `∅` is no
token.

    question   A reading of the formula: x - 2. What is wrong in it?
    answer     2: - → +                      or   nothing

Correction as a task next to reading: Uni-MuMER (arXiv:2505.23566).
"""

import difflib
import random

from texlens.latex.canonical.form import canonical
from texlens.synthesis.slips import with_slip
from texlens.synthesis.tasks.protocol import FormulaTask, TaskPair

CORRECT_SHARE = 0.25
"""Of the readings, so that "nothing" is an answer too."""
NOTHING = "nothing"
EMPTY = "∅"


def difference(reading: str, formula: str) -> str:
    r"""What turns the reading's tokens into the formula's.

    Example:
        difference("x - 2", "x + 2 y") == "2: - → +\n4: ∅ → y"
    """
    before, after = reading.split(), formula.split()
    changes = [
        f"{start + 1}: {' '.join(before[start:end]) or EMPTY} → {' '.join(after[first:last]) or EMPTY}"
        for kind, start, end, first, last in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
        if kind != "equal"
    ]
    return "\n".join(changes) or NOTHING


def corrected(reading: str, answer: str) -> str:
    """The reading with an answer's changes made; the inverse of `difference`.

    Raises:
        ValueError: the answer is of another form, or names tokens that are not at their position.
    """
    if answer == NOTHING:
        return reading
    tokens, changes = reading.split(), []
    for change in answer.split("\n"):
        position, _, tokens_text = change.partition(": ")
        old, arrow, new = tokens_text.partition(" → ")
        if not (position.isdecimal() and arrow):
            raise ValueError(f"{change!r} is no change; it reads 2: old → new")
        changes.append((int(position) - 1, *([] if part == EMPTY else part.split() for part in (old, new))))
    for start, old, new in reversed(changes):
        if tokens[start : start + len(old)] != old:
            raise ValueError(f"token {start + 1} is not {' '.join(old)}")
        tokens[start : start + len(old)] = new
    return " ".join(tokens)


def _make(formula: str, rng: random.Random) -> TaskPair | None:
    form = canonical(formula)
    if form.problem is not None:
        return None
    slip = None if rng.random() < CORRECT_SHARE else with_slip(form.text, rng)
    reading = " ".join((form.text if slip is None else slip.text).split())
    answer = difference(reading, form.text)
    if corrected(reading, answer) != " ".join(form.text.split()):
        return None
    return TaskPair(f"A reading of the formula: {reading}. What is wrong in it?", answer)


CORRECTION = FormulaTask("correction", _make, "a reading with a slip, and the difference")
