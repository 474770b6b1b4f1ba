"""Gumbel noise from a hash."""

import pytest
import torch

from texlens.kernels.decode.noise import gumbel


def test_noise_depends_on_seed_and_count_and_has_the_moments_of_a_gumbel():
    seeds, counts = torch.tensor([3, 3, 4]), torch.tensor([0, 1, 0])
    noise = gumbel(seeds, counts, 50_000)
    assert noise.mean(1).tolist() == pytest.approx([0.5772] * 3, abs=0.03)
    assert noise.var(1).tolist() == pytest.approx([1.6449] * 3, abs=0.06)
    assert torch.corrcoef(noise)[0, 1:].abs().max() < 0.02
    assert torch.equal(gumbel(seeds[2:], counts[2:], 50_000)[0], noise[2])
