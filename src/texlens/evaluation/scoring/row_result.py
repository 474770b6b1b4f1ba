"""All that is computed of one prediction alone: its scores, what is stored of its formula, and its drawings."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Any, TypeVar

from texlens.core.errors import LatexError
from texlens.evaluation.predictions import prediction_row
from texlens.evaluation.report.gallery import add_drawings
from texlens.html.pictures import Drawings
from texlens.latex.render.formats import render_svg
from texlens.metrics.cdm.difference_svg import differences_svg
from texlens.metrics.prediction import Prediction
from texlens.metrics.registry import AnyMetric, run_metrics
from texlens.metrics.scores import ScoredRow, scored_row

Key = TypeVar("Key")
Picture = TypeVar("Picture")


@dataclass(frozen=True)
class ScoringSettings:
    """
    Attributes:
        metrics: by name, as `evaluate.metrics`; exact match is added.
        clean: the setting `evaluate.clean`.
        draws: the formulas are drawn for a report too.
    """

    metrics: tuple[str, ...]
    clean: bool = True
    draws: bool = False

    def load(self) -> tuple[AnyMetric, ...]:
        return run_metrics(self.metrics)


@dataclass
class DrawnFormulas:
    """Formulas that were drawn, and pairs with their differences colored; an error where one can't be drawn."""

    single: dict[str, str | LatexError] = field(default_factory=dict)
    pairs: dict[tuple[str, str], tuple[str, str] | LatexError] = field(default_factory=dict)

    def add(self, other: "DrawnFormulas") -> None:
        self.single.update(other.single)
        self.pairs.update(other.pairs)

    @property
    def characters(self) -> int:
        pairs = [pair for pair in self.pairs.values() if not isinstance(pair, LatexError)]
        pictures = [*self.single.values(), *(picture for pair in pairs for picture in pair)]
        return sum(len(picture) for picture in pictures if isinstance(picture, str))

    def draw(self, formula: str) -> str:
        """`render_svg`, computed once.

        Raises:
            LatexError: the formula can't be drawn.
        """
        return _once(self.single, formula, lambda: render_svg(formula))

    def draw_pair(self, reference: str, text: str) -> tuple[str, str]:
        """`differences_svg`, computed once.

        Raises:
            LatexError: either can't be drawn.
        """
        return _once(self.pairs, (reference, text), lambda: differences_svg(reference, text))


@dataclass(frozen=True)
class RowResult:
    """`stored` is the prediction's line in its file (`prediction_row`)."""

    scored: ScoredRow
    stored: dict[str, Any]
    drawn: DrawnFormulas


def row_result(prediction: Prediction, settings: ScoringSettings, metrics: tuple[AnyMetric, ...]) -> RowResult:
    """
    Args:
        metrics: `settings.load()`.
    """
    scored = scored_row(prediction, metrics, clean=settings.clean)
    stored = prediction_row(prediction, settings.clean if is_of_formulas(metrics) else None)
    drawn = DrawnFormulas()
    if settings.draws:
        is_exact = scored.scored.is_exact and not scored.scored.failed
        drawings = Drawings(drawn.draw, max_bytes=2**62, max_seconds=inf, draw_pair=drawn.draw_pair)
        add_drawings({"texts": [{"exact": is_exact}]}, [prediction], drawings)
    return RowResult(scored, stored, drawn)


def is_of_formulas(metrics: tuple[AnyMetric, ...]) -> bool:
    """Whether what is scored are formulas, by the scores asked for."""
    return any(metric.name == "valid" for metric in metrics)


def _once(known: dict[Key, Picture | LatexError], key: Key, draw: Callable[[], Picture]) -> Picture:
    if key not in known:
        try:
            known[key] = draw()
        except LatexError as error:
            known[key] = error
    picture = known[key]
    if isinstance(picture, LatexError):
        raise picture
    return picture
