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
    **renamed: Sequence[str] | None,
) -> dict:
    """Scores of predictions against references, as `texlens score --json` prints them; a prediction of None scores 0.

    `clean` removes code fences, prose and math delimiters before texts are compared. `truths` is the old name of
    `references`.

    Example:
        score(["x^2"], ["x^{2}"])["scores"]["cdm_f1"]["value"] == 1.0

    Raises:
        DataError: no rows, or not as many predictions as references.
        TypeError: no parameter of that name.
        ConfigError: no metric, rules of CDM or preset of that name.
    """
    from texlens.metrics.pairs import score_pairs

    old_references = renamed.pop("truths", None)
    if renamed:
        raise TypeError(f"score() got an unexpected keyword argument {next(iter(renamed))!r}")
    if old_references is not None:
        warnings.warn("score(truths=…) is now score(references=…)", DeprecationWarning, stacklevel=2)
        references = old_references
    return score_pairs(
        references or (), predictions, metrics=metrics, cdm=cdm, preset=preset, domains=domains, seed=seed, clean=clean
    ).to_json()
