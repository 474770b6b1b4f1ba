"""How doubtful a reading is, 0 to 1, and why: what sorts the images for correction.

Trust is the product of what speaks for a reading; doubt is what is missing to 1:

    trust = P(text) x likeness of both views x likeness of both models, and 0 for a text that is no formula

P is the calibrated confidence, or the probability of the text where the model was never calibrated (only the order
counts). Likeness is 1 for equal canonical forms, else 1 - edits / tokens of the longer one.
"""

import math
from dataclasses import dataclass

from texlens.metrics.prediction import Prediction
from texlens.metrics.scored_prediction import ScoredPrediction
from texlens.workflows.learn.reading import ImageReading


@dataclass(frozen=True)
class Doubt:
    """
    Attributes:
        value: 0 (sure) to 1.
        confidence: probability that the text is right, by the model itself.
        views: likeness of the readings of plain and prepared image; None where there is one view alone.
        models: likeness of two models' readings; None for one model.
        problem: why the text is no formula, was cut, or could not be read.
    """

    value: float
    confidence: float
    views: float | None = None
    models: float | None = None
    problem: str = ""


def doubt_of(reading: ImageReading, second: ImageReading | None = None) -> Doubt:
    """
    Args:
        second: of the same image, by another model.
    """
    confidence = reading.confidence
    if confidence is None:
        confidence = math.exp(min(0.0, reading.log_probability))
    problem = reading.error or reading.problem or _cut(reading.stop)
    views = None if reading.other_view is None else likeness(reading.text, reading.other_view)
    models = None if second is None else likeness(reading.text, second.text)
    if reading.error:
        return Doubt(1.0, 0.0, views, models, problem)
    trust = 0.0 if problem else confidence * (1.0 if views is None else views) * (1.0 if models is None else models)
    return Doubt(round(1.0 - trust, 6), round(confidence, 6), _rounded(views), _rounded(models), problem)


def likeness(text: str, other: str) -> float:
    """1 for texts of one canonical form.

    Example:
        likeness("x^2", "x^{2}") -> 1.0;  likeness("a+b", "a-b") -> 0.67
    """
    scored = ScoredPrediction.of(Prediction("", other, text))
    return 1.0 if scored.is_canonically_exact else scored.edit_similarity


def _cut(stop: str) -> str:
    return {"length": "cut at the token limit", "loop": "repeats itself", "failed": "could not be read"}.get(stop, "")


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
