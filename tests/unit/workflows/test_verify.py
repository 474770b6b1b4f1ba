import math

import pytest
import torch

from texlens.core.errors import ConfigError
from texlens.exporting.formats.registry import FORMATS
from texlens.workflows.verify import FirstToken, ScorePair, _faults, first_token

SAME = ScorePair(adapter=0.9, artifact=0.9, difference=0.0, low=0.0, high=0.0)


def test_equal_logits_differ_in_nothing():
    logits = torch.randn(3, 7)
    assert first_token(logits, logits) == FirstToken(0.0, 0.0, 0.0, 0.0, 1.0)


def test_a_constant_added_to_all_logits_is_no_difference():
    logits = torch.randn(3, 7)
    assert first_token(logits, logits + 5).max_abs < 1e-5


def test_divergence_is_that_of_the_two_distributions():
    before = torch.tensor([[0.5, 0.5], [0.5, 0.5]]).log()
    after = torch.tensor([[0.25, 0.75], [0.5, 0.5]]).log()
    output = first_token(before, after)
    first_row = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    assert output.kl_mean == pytest.approx(first_row / 2, abs=1e-6)
    assert output.kl_max == pytest.approx(first_row, abs=1e-6)


def test_rows_that_the_adapter_can_not_read_are_left_out():
    before = torch.tensor([[1.0, 0.0], [math.nan, math.nan]])
    assert first_token(before, torch.tensor([[1.0, 0.0], [0.0, 9.0]])).top1 == 1.0


def test_no_row_at_all_is_an_error():
    with pytest.raises(ConfigError, match="nothing can be verified"):
        first_token(torch.full((2, 3), math.nan), torch.zeros(2, 3))


def test_logits_that_are_not_finite_fail():
    output = first_token(torch.zeros(1, 3), torch.tensor([[0.0, math.nan, 0.0]]))
    assert _faults(output, {"edit_similarity": SAME}, FORMATS["nf4"].tolerance) == ["its logits are not finite"]


def test_tolerance_multiplies_both_limits():
    output = FirstToken(1.0, 0.1, 0.015, 0.02, 1.0)
    worse = ScorePair(adapter=0.9, artifact=0.885, difference=-0.015, low=-0.03, high=0.0)
    scores = {"edit_similarity": worse}
    assert len(_faults(output, scores, FORMATS["merged"].tolerance)) == 2
    assert _faults(output, scores, FORMATS["merged"].tolerance.times(2)) == []


def test_a_better_score_is_no_fault():
    better = ScorePair(adapter=0.8, artifact=0.9, difference=0.1, low=0.05, high=0.2)
    assert _faults(FirstToken(0, 0, 0, 0, 1), {"edit_similarity": better}, FORMATS["adapter"].tolerance) == []
