"""Which drawn answers are kept."""

from texlens.workflows.preferences.choose import (
    NO_ANSWER,
    NO_MARGIN,
    NOT_GOOD,
    SAME_TEXT,
    Candidate,
    Pair,
    best_against_worst,
    best_of,
    reference_against_worst,
)

A, B, C = Candidate("a", 0.2), Candidate("b", 0.9), Candidate("c", 0.5)


def test_the_best_is_paired_with_the_worst_where_the_margin_is_reached():
    assert best_against_worst([A, B, C], 0.7) == Pair(B, A)
    assert best_against_worst([A, B, C], 0.8) == NO_MARGIN


def test_answers_that_differ_in_spaces_alone_are_no_pair():
    assert best_against_worst([Candidate("x ^ 2", 1.0), Candidate("x^2", 0.0)], 0.1) == SAME_TEXT


def test_empty_answers_are_not_candidates():
    assert best_against_worst([Candidate(" ", -1.0), B, C], 0.1) == Pair(B, C)
    assert best_against_worst([Candidate("", 0.0)], 0.1) == NO_ANSWER


def test_the_row_s_text_is_paired_with_the_worst():
    text = Candidate("t", 1.0)
    assert reference_against_worst(text, [A, B], 0.5) == Pair(text, A)
    assert reference_against_worst(text, [B], 0.5) == NO_MARGIN
    assert reference_against_worst(text, [], 0.5) == NO_ANSWER


def test_the_best_of_n_must_be_good_enough():
    assert best_of([A, B, C], 0.9) == B
    assert best_of([A, B, C], 0.95) == NOT_GOOD
    assert best_of([], 0.0) == NO_ANSWER
