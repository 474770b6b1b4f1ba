"""ROUGE-L on LaTeX tokens (Lin 2004, section 3.1, beta = 1): F1 of the longest common subsequence."""

from collections.abc import Sequence

from texlens.metrics.distances import common_length


def rouge_l(reference: Sequence[str], text: Sequence[str]) -> float:
    """2 x LCS / (reference length + text length); two empty sequences are equal, hence 1."""
    length = len(reference) + len(text)
    return 2 * common_length(reference, text) / length if length else 1.0
