"""ROUGE-L is the rouge_score package's on ascii words."""

import random

import pytest
from rouge_score.rouge_scorer import RougeScorer

from texlens.metrics.rouge import rouge_l


@pytest.mark.parametrize("seed", range(20))
def test_it_is_the_rouge_score_packages_value(seed):
    rng = random.Random(seed)
    reference, text = (rng.choices(["ab", "cd", "ef", "gh"], k=rng.randint(1, 12)) for _ in range(2))
    theirs = RougeScorer(["rougeL"]).score(" ".join(reference), " ".join(text))["rougeL"].fmeasure
    assert rouge_l(reference, text) == pytest.approx(theirs)


def test_a_value_worked_out_by_hand():
    assert rouge_l(["x", "^", "2"], ["x", "2"]) == pytest.approx(0.8)


def test_nothing_against_nothing_is_equal_and_against_something_is_not():
    assert rouge_l([], []) == 1.0
    assert rouge_l(["x"], []) == 0.0
