"""Branches continue their prefix in the convolution: as each branch alone after its prefix."""

import pytest
import torch

from tests.unit.kernels.attention.branched import ROWS, prefixes_of, tokens_of
from texlens.kernels.causal_conv.branches import border_results, branched_causal_conv
from texlens.kernels.causal_conv.reference import causal_conv


@pytest.mark.parametrize("rows", [ROWS, [(1, [1, 2, 5]), (2, [3])]])
def test_branches_equal_separate_rows_with_gradients(rows):
    generator = torch.Generator().manual_seed(0)
    prefixes = prefixes_of(rows)
    x = torch.randn(tokens_of(rows), 6, generator=generator).requires_grad_()
    kernel = torch.randn(6, 4, generator=generator).requires_grad_()
    expected = []
    bounds = prefixes.cu_seqlens.tolist()
    for start, end, before, until in zip(
        bounds[:-1], bounds[1:], prefixes.starts.tolist(), prefixes.ends.tolist(), strict=True
    ):
        row = torch.cat([x[before:until], x[start:end]])
        expected.append(causal_conv(row, kernel, torch.arange(len(row)))[until - before :])
    output, expected = branched_causal_conv(x, kernel, prefixes), torch.cat(expected)
    torch.testing.assert_close(output, expected, atol=1e-6, rtol=1e-5)
    for grad, other in zip(
        *(torch.autograd.grad(y.square().sum(), (x, kernel)) for y in (output, expected)), strict=True
    ):
        torch.testing.assert_close(grad, other, atol=1e-5, rtol=1e-5)


def test_a_poisoned_branch_changes_its_siblings_in_nothing():
    x, kernel, prefixes = torch.randn(tokens_of(), 6), torch.randn(6, 4), prefixes_of()
    before = branched_causal_conv(x, kernel, prefixes)
    x[8] = torch.nan  # the second of three branches
    after = branched_causal_conv(x, kernel, prefixes)
    assert torch.equal(after[:8], before[:8])
    assert torch.equal(after[9:], before[9:])


@pytest.mark.parametrize("rows", [ROWS, [(1, [1, 2, 5]), (2, [3])]])
def test_results_at_the_borders_are_those_of_the_whole(rows):
    x, kernel, prefixes = torch.randn(tokens_of(rows), 6), torch.randn(6, 4), prefixes_of(rows)
    borders = prefixes.borders(3)
    assert prefixes.borders(3) is borders
    results = border_results(x[borders.windows], borders.exists, kernel).flatten(0, 1)[borders.places]
    torch.testing.assert_close(results, branched_causal_conv(x, kernel, prefixes)[borders.first])
