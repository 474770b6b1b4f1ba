"""ROUGE-L on LaTeX tokens (Lin 2004, section 3.1, beta = 1): F1 of the longest common subsequence."""

from collections.abc import Sequence

from texlens.metrics.distances import common_length


def rouge_l(truth: Sequence[str], text: Sequence[str]) -> float:
    """2 x LCS / (truth length + text length); two empty sequences are equal, hence 1."""
    length = len(truth) + len(text)
    return 2 * common_length(truth, text) / length if length else 1.0
