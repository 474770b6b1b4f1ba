"""Attention on a CPU compared with the reference."""

import pytest
import torch

from texlens.kernels.attention.api import attend as packed_attend
from texlens.kernels.attention.segments import make_segments
from texlens.kernels.decode import cpu, reference

PAGE = 4


def drawn(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("heads", "groups"), [(4, 4), (6, 2)])
def test_a_step_attends_to_the_pages_of_its_row(heads, groups):
    query, keys, values = (drawn(3, heads, 8, seed=0), *(drawn(8 * PAGE, groups, 8, seed=seed) for seed in (1, 2)))
    pages = torch.tensor([[1, 2, 3], [4, 5, 0], [6, 7, 0]], dtype=torch.int32)
    inputs = query, keys, values, pages, torch.tensor([11, 1, 8], dtype=torch.int32), PAGE

    torch.testing.assert_close(cpu.attend(*inputs), reference.attend(*inputs), rtol=1e-5, atol=1e-5)


def test_scores_of_a_step_in_16_bits_are_not_rounded_to_them():
    query, keys, values = (3 * drawn(2, 6, 64, seed=0), *(3 * drawn(32, 2, 64, seed=seed) for seed in (1, 2)))
    layout = torch.tensor([[0, 1, 2], [4, 5, 6]], dtype=torch.int32), torch.tensor([12, 9], dtype=torch.int32), PAGE
    halves = [part.bfloat16() for part in (query, keys, values)]

    ours = cpu.attend(*halves, *layout)

    assert ours.dtype == torch.bfloat16
    exact = reference.attend(*(part.double() for part in halves), *layout)
    assert (ours - exact).norm() < 0.003 * exact.norm()


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("heads", "groups"), [(4, 4), (6, 2)])
def test_segments_attend_to_themselves(causal, heads, groups):
    query, key, value = (drawn(12, count, 8, seed=count) for count in (heads, groups, groups))
    bounds = [0, 5, 6, 12]
    segments = make_segments(torch.tensor(bounds, dtype=torch.int32), 6)

    ours = cpu.attend_segments(query, key, value, bounds, causal=causal)

    expected = packed_attend(query, key, value, segments, causal=causal)
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)
