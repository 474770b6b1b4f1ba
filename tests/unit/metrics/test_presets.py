"""Sets of metrics."""

import pytest

from texlens.core.errors import ConfigError
from texlens.metrics.registry import SETS, chosen_metrics, metric_named, run_metrics


def test_a_set_stands_for_its_metrics():
    assert [metric.name for metric in chosen_metrics("captions, valid")] == [
        "exact_match", "length_limit", "repetition", "valid", "caption_bleu4", "caption_rouge_l", "cider",
    ]  # fmt: skip
    assert all(metric_named(name) for names in SETS.values() for name in names)


def test_exact_match_is_always_among_the_metrics_of_a_run():
    assert [metric.name for metric in run_metrics(["cdm_f1"])] == ["exact_match", "cdm_f1"]
    with pytest.raises(ConfigError, match=r"evaluate\.metrics: no metric is named 'bleu'; did you mean 'bleu4'"):
        run_metrics(["bleu"])
