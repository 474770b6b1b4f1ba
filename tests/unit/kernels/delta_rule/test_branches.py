"""Branches begin in their prefix's state: as each branch alone after its prefix."""

from itertools import pairwise

import pytest
import torch

from tests.unit.kernels.attention.branched import ROWS, prefixes_of, tokens_of
from texlens.kernels.delta_rule import reference
from texlens.kernels.delta_rule.branches import branched_delta_rule

LONG = [(70, [3, 130]), (5, []), (64, [64, 1]), (2, [])]


def inputs(tokens: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    query, key = (torch.randn(tokens, 2, 4, generator=generator) for _ in range(2))
    value = torch.randn(tokens, 4, 3, generator=generator)
    log_decay, beta = (torch.rand(tokens, 4, generator=generator) for _ in range(2))
    return [query, key, value, -log_decay, beta]


def one_by_one(parts, prefixes):
    outputs = []
    for (start, end), before, until in zip(
        pairwise(prefixes.cu_seqlens.tolist()), prefixes.starts, prefixes.ends, strict=True
    ):
        row = [torch.cat([part[before:until], part[start:end]]) for part in parts]
        output, _ = reference.delta_rule(*row, torch.tensor([0, len(row[0])], dtype=torch.int32))
        outputs.append(output[until - before :])
    return torch.cat(outputs)


@pytest.mark.parametrize("rows", [ROWS, LONG])
def test_branches_equal_separate_rows_with_gradients(rows):
    prefixes = prefixes_of(rows)
    parts = [part.requires_grad_() for part in inputs(tokens_of(rows))]
    output, expected = branched_delta_rule(reference, *parts, prefixes), one_by_one(parts, prefixes)
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-5)
    weight = torch.linspace(-1, 1, output.numel()).view_as(output)
    grads, others = (torch.autograd.grad((y * weight).sum(), parts) for y in (output, expected))
    for grad, other in zip(grads, others, strict=True):
        torch.testing.assert_close(grad, other, atol=2e-5, rtol=1e-4)


def test_a_poisoned_branch_changes_its_siblings_in_nothing():
    parts, prefixes = inputs(tokens_of()), prefixes_of()
    before = branched_delta_rule(reference, *parts, prefixes)
    for part in parts:
        part[8] = torch.nan  # the second of three branches
    after = branched_delta_rule(reference, *parts, prefixes)
    assert torch.equal(after[:8], before[:8])
    assert torch.equal(after[9:], before[9:])
