"""Distances of long sequences: exact below the bound, in pieces above it."""

import pytest
from rapidfuzz.distance import LCSseq, Levenshtein

from texlens.metrics import distances
from texlens.metrics.distances import common_length, edit_distance, pieces_of
from texlens.metrics.prediction import Prediction
from texlens.metrics.scores import Table

A, B = list("the quick brown fox"), list("a quick brown dog jumps")


def test_short_sequences_are_compared_in_full():
    assert edit_distance(A, B) == Levenshtein.distance(A, B)
    assert common_length(A, B) == LCSseq.similarity(A, B)


@pytest.mark.parametrize("most", [10, 60, 200])
def test_pieces_bound_the_distance_from_above_and_the_subsequence_from_below(monkeypatch, most):
    monkeypatch.setattr(distances, "MAX_CELLS", most)
    assert pieces_of(len(A), len(B)) > 1
    assert Levenshtein.distance(A, B) <= edit_distance(A, B) <= max(len(A), len(B))
    assert 0 <= common_length(A, B) <= LCSseq.similarity(A, B)
    assert edit_distance(A, list(A)) == 0


def test_a_row_that_was_not_compared_in_full_has_a_score_and_a_reason(monkeypatch):
    monkeypatch.setattr(distances, "MAX_CELLS", 10)
    (row,) = Table.of([Prediction("a", "x + y - z", "x + y - w")]).row_scores()
    assert row.values["edit_similarity"] == pytest.approx(0.8)
    assert "edits are counted in 3 pieces" in row.problem
