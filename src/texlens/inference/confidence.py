"""Confidence of a reading: the probability of its tokens, corrected by a temperature fitted on rows with known texts.

The model gives a text the probability exp(S), S the sum of its tokens' log-probabilities. Networks are overconfident,
so the confidence is exp(S / T) with the T of least log loss on those rows (temperature scaling, Guo et al. 2017,
section 4, applied to complete texts). Expected calibration error: rows in bins of confidence, the mean distance between
confidence and share of correct rows, weighted by rows (the same paper, equation 3).
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from texlens.core.errors import DataError
from texlens.models.metadata import as_dataclass, read_metadata

KEY = "calibration"
BINS = 10
MIN_ROWS = 20
_MIN_TEMPERATURE, _MAX_TEMPERATURE = 0.05, 50.0
_MIN_PROBABILITY = 1e-9


@dataclass(frozen=True)
class Calibration:
    """A fitted temperature, and what it was fitted on; errors are expected calibration errors, 0 to 1. `right` counts
    correct rows.

    `formula_bias` and `formula_weight` are those of a logistic regression on the mean log-probability a token: the
    probability that the image shows a formula at all; None where no images of other things were among the rows.
    """

    temperature: float
    error_before: float
    error_after: float
    rows: int
    right: int
    measured_on: str
    formula_bias: float | None = None
    formula_weight: float | None = None

    def formula_probability(self, log_probability: float, tokens: int) -> float | None:
        """The probability, 0 to 1, that the image of this reading shows a formula; None where that was not fitted."""
        if self.formula_bias is None or self.formula_weight is None:
            return None
        return _sigmoid(self.formula_bias + self.formula_weight * log_probability / max(tokens, 1))

    def confidence(self, log_probability: float) -> float:
        """The probability, 0 to 1, that a text of this log-probability is right."""
        return confidence(log_probability, self.temperature)

    def to_json(self) -> dict:
        return {name: value for name, value in asdict(self).items() if value is not None}


def confidence(log_probability: float, temperature: float) -> float:
    return math.exp(min(0.0, log_probability) / temperature)


def fit(log_probabilities: Sequence[float], right: Sequence[bool], measured_on: str) -> Calibration:
    """The temperature of least log loss, and the calibration error without and with it.

    The error with it is that of each half of the rows with a temperature fitted on the other half. Where it is not
    smaller, the model needs no correction, and the temperature is 1.

    Raises:
        DataError: too few rows, or all of them right or all wrong, which determines no temperature.
    """
    if len(right) < MIN_ROWS:
        raise DataError(f"{measured_on}: {len(right)} rows; a calibration needs at least {MIN_ROWS}")
    if len(set(right)) == 1:
        raise DataError(
            f"{measured_on}: {'every' if right[0] else 'no'} row is right; use rows of which some are right"
        )
    temperature = _minimum(lambda value: log_loss(log_probabilities, right, value))
    before = calibration_error([confidence(total, 1.0) for total in log_probabilities], right)
    after = calibration_error(_cross_fitted(log_probabilities, right), right)
    if after >= before:
        temperature, after = 1.0, before
    return Calibration(
        round(temperature, 4), round(before, 4), round(after, 4), len(right), sum(map(bool, right)), measured_on
    )


def fit_formula(formulas: Sequence[float], others: Sequence[float], steps: int = 50) -> tuple[float, float]:
    """Bias and weight of a logistic regression (Newton's method, a little ridge) on mean log-probabilities a token.

    Both kinds count the same, however many rows each has.

    Raises:
        DataError: one of the kinds has no rows.
    """
    if not formulas or not others:
        raise DataError("images of formulas and images of other things are needed, at least one of each")
    values = [(x, 1.0, 0.5 / len(formulas)) for x in formulas] + [(x, 0.0, 0.5 / len(others)) for x in others]
    bias = weight = 0.0
    for _ in range(steps):
        gradient_b, gradient_w = 1e-3 * bias, 1e-3 * weight
        bb, bw, ww = 1e-3, 0.0, 1e-3
        for x, target, share in values:
            probability = _sigmoid(bias + weight * x)
            error, curve = share * (probability - target), share * probability * (1 - probability)
            gradient_b, gradient_w = gradient_b + error, gradient_w + error * x
            bb, bw, ww = bb + curve, bw + curve * x, ww + curve * x * x
        determinant = bb * ww - bw * bw
        bias -= (ww * gradient_b - bw * gradient_w) / determinant
        weight -= (bb * gradient_w - bw * gradient_b) / determinant
    return bias, weight


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-max(-50.0, min(50.0, value))))


def _cross_fitted(log_probabilities: Sequence[float], right: Sequence[bool]) -> list[float]:
    """Confidences of the even rows with a temperature fitted on the odd ones, and the reverse."""
    confidences = [0.0] * len(right)
    for half in (0, 1):
        fit_sums, fit_right = log_probabilities[1 - half :: 2], right[1 - half :: 2]
        temperature = _minimum(lambda value, sums=fit_sums, right=fit_right: log_loss(sums, right, value))
        confidences[half::2] = [confidence(total, temperature) for total in log_probabilities[half::2]]
    return confidences


def log_loss(log_probabilities: Sequence[float], right: Sequence[bool], temperature: float) -> float:
    """The mean negative log-likelihood of the outcomes, in nats."""
    total = 0.0
    for log_probability, is_right in zip(log_probabilities, right, strict=True):
        probability = confidence(log_probability, temperature)
        total -= math.log(max(_MIN_PROBABILITY, probability if is_right else 1 - probability))
    return total / len(right)


def calibration_error(confidences: Sequence[float], right: Sequence[bool], bins: int = BINS) -> float:
    """Expected calibration error over bins of equal width."""
    binned: list[list[tuple[float, bool]]] = [[] for _ in range(bins)]
    for value, is_right in zip(confidences, right, strict=True):
        binned[min(bins - 1, int(value * bins))].append((value, is_right))
    distances = (abs(sum(value for value, _ in rows) - sum(is_right for _, is_right in rows)) for rows in binned)
    return sum(distances) / len(right)


def read_calibration(folder: Path) -> Calibration | None:
    """The calibration in a model's metadata, None where it was never calibrated.

    Raises:
        ModelError: the metadata is damaged.
    """
    values = read_metadata(folder).get(KEY)
    return as_dataclass(Calibration, values, folder) if values else None


def _minimum(loss, steps: int = 60) -> float:
    """The minimum of a unimodal loss, by golden-section search on the logarithm of the temperature."""
    low, high = math.log(_MIN_TEMPERATURE), math.log(_MAX_TEMPERATURE)
    share = (math.sqrt(5) - 1) / 2
    for _ in range(steps):
        left, right = high - share * (high - low), low + share * (high - low)
        low, high = (low, right) if loss(math.exp(left)) < loss(math.exp(right)) else (left, high)
    return math.exp((low + high) / 2)
