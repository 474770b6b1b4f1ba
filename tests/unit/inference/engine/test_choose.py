"""Drawn tokens: their distribution, and what they depend on."""

import torch

from texlens.inference.engine.choose import Draw, choose
from texlens.kernels.decode import reference

PROBABILITIES = torch.tensor([0.5, 0.3, 0.15, 0.05])


def drawn(count, *, temperature=1.0, top_p=1.0, seed=0):
    rows = torch.arange(count)
    draw = Draw(torch.full((count,), temperature), torch.full((count,), top_p), torch.full((count,), seed), rows)
    return choose(PROBABILITIES.log().repeat(count, 1), reference, draw)


def test_tokens_have_the_probabilities_of_the_model():
    shares = torch.bincount(drawn(20_000).tokens, minlength=4) / 20_000
    assert torch.allclose(shares, PROBABILITIES, atol=0.015)


def test_top_p_keeps_the_smallest_set_of_likeliest_tokens():
    assert set(drawn(2_000, top_p=0.7).tokens.tolist()) == {0, 1}
    assert set(drawn(2_000, top_p=0.81).tokens.tolist()) == {0, 1, 2}


def test_temperature_0_takes_the_likeliest_token():
    assert drawn(50, temperature=0.0).tokens.tolist() == [0] * 50


def test_a_row_draws_the_same_in_any_batch():
    assert drawn(64).tokens[:8].tolist() == drawn(8).tokens.tolist()
    assert drawn(64, seed=1).tokens.tolist() != drawn(64).tokens.tolist()


def test_log_probabilities_are_those_of_the_model():
    choice = drawn(100, temperature=3.0, top_p=0.9)
    assert torch.allclose(choice.log_probabilities, PROBABILITIES.log()[choice.tokens], atol=1e-6)
