"""Scores as other authors define them, for comparison with their numbers; each with its source."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from texlens.core.errors import ConfigError
from texlens.latex.parse.tokens import tokenize
from texlens.metrics.bleu import BLEU_STATISTICS, NLTK_SIGNATURE, nltk_bleu_of_sums, nltk_statistics
from texlens.metrics.registry import METRICS, AnyMetric, CorpusMetric, Metric, metric_named
from texlens.metrics.registry import rate as rate_of_sums
from texlens.metrics.scored_prediction import Tokenizer


@dataclass(frozen=True)
class Preset:
    """The tokenizer, the metrics, and the source that defines them."""

    name: str
    source: str
    tokenizer: Tokenizer
    metrics: tuple[AnyMetric, ...]


def _named(name: str, definition: str) -> Metric:
    metric = metric_named(name)
    assert isinstance(metric, Metric)
    return replace(metric, definition=definition)


UNI_MUMER = Preset(
    "uni-mumer",
    "Li et al. 2025, Uni-MuMER (arXiv 2505.23566), scripts/eval_metrics_calculator.py; tokens parted by white space",
    str.split,
    (
        _named("exact_match", "Exact Match Rate: share of rows whose tokens are those of the reference."),
        _named("within_1", "Error ≤ 1: share of rows at most 1 token edit away from the reference."),
        _named("within_2", "Error ≤ 2: share of rows at most 2 token edits away from the reference."),
        _named("within_3", "Error ≤ 3: share of rows at most 3 token edits away from the reference."),
        _named("edit_similarity", "Mean Edit Score: 1 - token edits / tokens of the longer side, averaged over rows."),
        CorpusMetric(
            "bleu4",
            "BLEU-4",
            f"Corpus BLEU on tokens parted by white space ({NLTK_SIGNATURE}), divided by 100.",
            lambda row: nltk_statistics(row.reference_tokens, row.text_tokens),
            nltk_bleu_of_sums,
            BLEU_STATISTICS,
        ),
        CorpusMetric(
            "character_error_rate",
            "Char error rate",
            "Their rate, which divides token edits by the characters of the reference, spaces included.",
            lambda row: (float(row.edits), float(len(row.prediction.reference))),
            rate_of_sums,
            2,
            "lower",
            "rate",
        ),
    ),
)
OURS = Preset("texlens", "this program", tokenize, METRICS)
PRESETS: Mapping[str, Preset] = {UNI_MUMER.name: UNI_MUMER}


def preset_named(name: str) -> Preset:
    if name not in PRESETS:
        raise ConfigError(f"no preset is named {name!r}; choose from {', '.join(PRESETS)}")
    return PRESETS[name]
