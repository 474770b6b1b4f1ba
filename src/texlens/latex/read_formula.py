"""The formula in a model's answer: what `read`, the server and the predictions of an evaluation say about it."""

from dataclasses import dataclass
from functools import cached_property

from texlens.latex.canonical.form import canonical
from texlens.latex.canonical.readable import readable
from texlens.latex.cleanup import CODE_FENCE, PROSE, clean_prediction


@dataclass(frozen=True)
class ReadFormula:
    """
    Attributes:
        text: as the model wrote it, without what was removed.
        removed: code fence, prose or math delimiters, where there were any around it.
        problem: why it is no formula; None where it is one.
        is_readable: it may be formatted for reading.
    """

    text: str
    removed: tuple[str, ...]
    problem: str | None
    is_readable: bool = True

    @cached_property
    def latex(self) -> str:
        """The text, formatted for reading."""
        return readable(self.text) if self.is_readable else self.text

    @property
    def valid(self) -> bool:
        """It is not empty and can be parsed."""
        return self.problem is None


def formula_of(text: str, clean: bool = True) -> ReadFormula:
    """What an answer holds besides code fences, prose and math delimiters; without `clean` they make it invalid."""
    cleaned = clean_prediction(text)
    around = [name for name in cleaned.removed if name in (CODE_FENCE, PROSE)]
    if not clean and around:
        return ReadFormula(text, (), f"{' and '.join(around)} around the formula; clean removes it", False)
    formula = cleaned.text if clean else text
    removed = cleaned.removed if clean else ()
    if not formula.strip():
        return ReadFormula(formula, removed, "the answer is empty", False)
    problem = canonical(formula).problem
    return ReadFormula(formula, removed, None if problem is None else str(problem))
