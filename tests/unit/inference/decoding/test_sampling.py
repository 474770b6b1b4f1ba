"""Settings of sampling."""

import pytest
import torch

from texlens.inference.decoding.sample_tokens import draw
from texlens.inference.decoding.sampling import Sampling

PROBABILITIES = torch.tensor([[0.5, 0.3, 0.15, 0.05]])


def test_temperature_sharpens_the_distribution():
    generator = torch.Generator().manual_seed(0)
    tokens = draw(PROBABILITIES.log().repeat(20_000, 1), Sampling(temperature=0.5), generator)
    expected = PROBABILITIES[0] ** 2 / (PROBABILITIES[0] ** 2).sum()
    assert (torch.bincount(tokens, minlength=4) / len(tokens)).tolist() == pytest.approx(expected.tolist(), abs=0.015)


@pytest.mark.parametrize("temperature", [1e-320, 1e-40, 1e-6, 1e-3])
def test_tiny_temperature_is_greedy(temperature):
    generator = torch.Generator().manual_seed(0)
    tokens = draw(PROBABILITIES.log().repeat(100, 1), Sampling(temperature=temperature), generator)
    assert tokens.tolist() == [0] * 100
