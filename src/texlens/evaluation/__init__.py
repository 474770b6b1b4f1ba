"""Scores of predictions. `score` is all that most people need; nothing heavy is loaded before it is called."""

import warnings
from collections.abc import Sequence

__all__ = ["score"]


def score(
    references: Sequence[str] | None = None,
    predictions: Sequence[str | None] = (),
    *,
    metrics: str | Sequence[str] = "all",
    cdm: str = "default",
    preset: str | None = None,
    domains: Sequence[str] | None = None,
    seed: int = 0,
    clean: bool = True,
    truths: Sequence[str] | None = None,
) -> dict:
    """Scores of predictions against references, as `texlens score --json` prints them; a prediction of None scores 0.

    `clean` removes code fences, prose and math delimiters before texts are compared. `truths` is the old name of
    `references`.

    Example:
        score(["x^2"], ["x^{2}"])["scores"]["cdm_f1"]["value"] == 1.0

    Raises:
        DataError: no rows, or not as many predictions as truths.
        ConfigError: no metric, rules of CDM or preset of that name.
    """
    from texlens.metrics.pairs import score_pairs

    if truths is not None:
        warnings.warn("score(truths=…) is now score(references=…)", DeprecationWarning, stacklevel=2)
        references = truths
    return score_pairs(
        references or (), predictions, metrics=metrics, cdm=cdm, preset=preset, domains=domains, seed=seed, clean=clean
    ).to_json()
