"""Scores of predictions. `score` is all that most people need; nothing heavy is loaded before it is called."""

from collections.abc import Sequence

__all__ = ["score"]


def score(
    truths: Sequence[str],
    predictions: Sequence[str | None],
    *,
    metrics: str | Sequence[str] = "all",
    cdm: str = "default",
    preset: str | None = None,
    domains: Sequence[str] | None = None,
    seed: int = 0,
) -> dict:
    """Scores of predictions against truths, as `texlens score --json` prints them; a prediction of None scores 0.

    Example:
        score(["x^2"], ["x^{2}"])["scores"]["cdm_f1"]["value"] == 1.0

    Raises:
        DataError: no rows, or not as many predictions as truths.
        ConfigError: no metric, rules of CDM or preset of that name.
    """
    from texlens.metrics.pairs import score_pairs

    return score_pairs(
        truths, predictions, metrics=metrics, cdm=cdm, preset=preset, domains=domains, seed=seed
    ).to_json()
