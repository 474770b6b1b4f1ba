"""CDM of a pair of formulas: precision, recall and F1 of the tokens that they show."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from texlens.core.errors import LatexError
from texlens.latex.canonical.form import canonical
from texlens.metrics.cdm.match import MAX_CELLS, assigned, centers, explained
from texlens.metrics.cdm.published import published_picture
from texlens.metrics.cdm.rules import RULES, Rules
from texlens.metrics.cdm.structure import ALL_LEVELS, counted_levels, misplaced
from texlens.metrics.cdm.visible_tokens import Picture, picture


@dataclass(frozen=True)
class Cdm:
    """`matched` of the reference's and the text's tokens. `problem` says what can't be drawn (then nothing matches), or
    what was not compared in full because of its cost."""

    matched: int
    reference_tokens: int
    text_tokens: int
    problem: str = ""

    @property
    def precision(self) -> float:
        return self.matched / self.text_tokens if self.text_tokens else self._both_empty

    @property
    def recall(self) -> float:
        return self.matched / self.reference_tokens if self.reference_tokens else self._both_empty

    @property
    def f1(self) -> float:
        total = self.reference_tokens + self.text_tokens
        return 2 * self.matched / total if total else self._both_empty

    @property
    def exact(self) -> bool:
        return self.f1 == 1.0

    @property
    def _both_empty(self) -> float:
        return float(not (self.reference_tokens or self.text_tokens or self.problem))


@dataclass(frozen=True)
class Matching:
    """Two pictures and the pairs of their tokens that count, as indices (reference, text)."""

    reference: Picture
    text: Picture
    pairs: tuple[tuple[int, int], ...]


Pictures = Mapping[str, Picture]
"""Formulas drawn beforehand, by TeX for instance."""


def cdm(reference: str, text: str, rules: Rules = RULES["default"], pictures: Pictures | None = None) -> Cdm:
    """Never raises: what can't be drawn scores 0, with the reason.

    Against a reference that can't be drawn, only a text of the same tokens is right. Where `pictures` has both sides,
    these are matched.
    """
    if pictures and reference in pictures and text in pictures:
        return _matched(pictures[reference], pictures[text], rules)
    drawn, problem = drawn_picture(reference, rules.fixed)
    if problem:
        return _undrawn(reference, text, problem)
    read, problem = drawn_picture(text, rules.fixed)
    if problem:
        return Cdm(0, len(drawn.tokens), 0, problem)
    return _matched(drawn, read, rules)


def _matched(drawn: Picture, read: Picture, rules: Rules) -> Cdm:
    if drawn is read:
        return Cdm(len(drawn.tokens), len(drawn.tokens), len(drawn.tokens))
    pairs, shortcut = _pairs(drawn, read, rules)
    return Cdm(len(pairs), len(drawn.tokens), len(read.tokens), shortcut)


def matching(reference: str, text: str, rules: Rules = RULES["default"]) -> Matching:
    """The pairs behind a score.

    Raises:
        LatexError: reference or text can't be drawn.
    """
    draw = picture if rules.fixed else published_picture
    drawn, read = draw(reference), draw(text)
    return Matching(drawn, read, tuple(_pairs(drawn, read, rules)[0]))


def _undrawn(reference: str, text: str, problem: str) -> Cdm:
    """All tokens or none, of a reference that can't be drawn."""
    tokens, read = canonical(reference).tokens, canonical(text).tokens
    return Cdm(len(tokens) if tokens == read else 0, len(tokens), len(read), f"reference: {problem}")


def _pairs(reference: Picture, text: Picture, rules: Rules) -> tuple[list[tuple[int, int]], str]:
    """The pairs that count, and what was not compared in full because of its cost."""
    if not reference.tokens or not text.tokens:
        return [], ""
    shortcuts = []
    if len(reference.tokens) * len(text.tokens) > MAX_CELLS:
        shortcuts.append(f"more than {MAX_CELLS:,} pairs of tokens: paired in their order, not at the least cost")
    rows, columns = assigned(reference, text, rules)
    counted = explained(centers(reference.boxes_N4[rows]), centers(text.boxes_N4[columns]), rules)
    pairs = list(zip(rows.tolist(), columns.tolist(), strict=True))
    counted &= np.array([reference.tokens[row].look == text.tokens[column].look for row, column in pairs], dtype=bool)
    if rules.fixed:
        levels = counted_levels(reference.tokens, text.tokens, pairs)
        if levels < ALL_LEVELS:
            shortcuts.append(f"too many tokens too deep: only the innermost {levels} containers are compared")
        for index in misplaced(reference.tokens, text.tokens, pairs, counted.tolist()):
            counted[index] = False
    return [pair for pair, is_counted in zip(pairs, counted, strict=True) if is_counted], "; ".join(shortcuts)


@lru_cache(maxsize=1024)
def drawn_picture(formula: str, fixed: bool) -> tuple[Picture, str]:
    """The picture, or an empty one and the reason."""
    draw: Callable[[str], Picture] = picture if fixed else published_picture
    try:
        return draw(formula), ""
    except LatexError as error:
        return Picture((), np.zeros((0, 4)), (1.0, 1.0)), str(error)
