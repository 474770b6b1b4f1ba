"""Grouped products equal each expert's own product."""

import torch

from texlens.kernels.experts.grouped import grouped, grouped_loop, grouped_sum, grouped_sum_loop


def test_rows_meet_their_own_experts_weight_and_unused_experts_cost_nothing():
    x, weight = torch.randn(5, 3), torch.randn(4, 2, 3)
    ends = torch.tensor([2, 2, 5, 5])
    expected = torch.cat([x[:2] @ weight[0].T, x[2:] @ weight[2].T])
    torch.testing.assert_close(grouped_loop(x, weight, ends), expected)
    torch.testing.assert_close(grouped(x, weight, ends), expected)
    assert grouped_loop(x[:0], weight, torch.zeros(4, dtype=torch.int32)).shape == (0, 2)


def test_sums_are_over_each_experts_own_rows():
    left, right, ends = torch.randn(5, 3), torch.randn(5, 2), torch.tensor([2, 2, 5])
    expected = torch.stack([left[:2].T @ right[:2], torch.zeros(3, 2), left[2:].T @ right[2:]])
    torch.testing.assert_close(grouped_sum_loop(left, right, ends), expected)
    torch.testing.assert_close(grouped_sum(left, right, ends), expected)
