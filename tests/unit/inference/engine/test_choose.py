"""Drawn tokens: their distribution, and what they depend on."""

import pytest
import torch

from texlens.inference.decoding.sample_tokens import truncated
from texlens.inference.decoding.sampling import Sampling
from texlens.inference.engine.choose import Draw, Penalty, Truncation, choose
from texlens.kernels.decode import reference

PROBABILITIES = torch.tensor([0.5, 0.3, 0.15, 0.05])


def drawn(count, *, temperature=1.0, top_p=1.0, min_p=0.0, top_k=0, seed=0):
    rows = torch.arange(count)
    limits = Truncation(*(torch.full((count,), value) for value in (top_p, min_p, top_k)))
    draw = Draw(torch.full((count,), temperature), torch.full((count,), seed), rows, limits)
    return choose(PROBABILITIES.log().repeat(count, 1), reference, draw)


def test_tokens_have_the_probabilities_of_the_model():
    shares = torch.bincount(drawn(20_000).tokens, minlength=4) / 20_000
    assert torch.allclose(shares, PROBABILITIES, atol=0.015)


def test_draws_that_nothing_truncates_need_no_second_look_at_the_logits():
    logits = 2 * torch.randn(40, 300, generator=torch.Generator().manual_seed(0))
    logits[3, 7] = torch.nan
    draw = Draw(torch.linspace(0, 2, 40), torch.arange(40), torch.full((40,), 5, dtype=torch.int32))
    limits = Truncation(torch.ones(40), torch.zeros(40), torch.zeros(40))

    drawn_only, general = choose(logits, reference, draw), choose(logits, reference, draw._replace(truncation=limits))

    sound = torch.arange(40) != 3
    assert torch.equal(drawn_only.tokens[sound], general.tokens[sound])
    assert torch.allclose(drawn_only.log_probabilities, general.log_probabilities, atol=1e-5, equal_nan=True)
    assert drawn_only.log_probabilities.isnan().nonzero().tolist() == [[3]]


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


@pytest.mark.parametrize(
    ("limits", "remaining"),
    [
        ({"top_k": 1}, {0}),
        ({"top_k": 3}, {0, 1, 2}),
        ({"top_k": 9}, {0, 1, 2, 3}),
        ({"min_p": 0.5}, {0, 1}),
        ({"min_p": 1.0}, {0}),
        ({"top_k": 3, "top_p": 0.7}, {0, 1}),
        ({"top_k": 2, "min_p": 0.2}, {0, 1}),
    ],
)
def test_top_k_and_min_p_keep_what_the_reference_keeps(limits, remaining):
    assert set(drawn(3_000, **limits).tokens.tolist()) == remaining
    probabilities = truncated(PROBABILITIES[None], Sampling(temperature=1.0, **limits))
    assert set(probabilities[0].nonzero()[:, 0].tolist()) == remaining


def test_a_penalty_changes_used_tokens_of_its_row_alone():
    logits = torch.tensor([[2.0, 1.5, -1.0], [2.0, 1.5, -1.0], [-2.0, -3.0, -2.5]])
    used = torch.tensor([[1, 0, 0], [1, 0, 0], [2, 0, 0]], dtype=torch.int16)
    choice = choose(logits, reference, penalty=Penalty(used, torch.tensor([2.0, 1.0, 2.0])))
    assert choice.tokens.tolist() == [1, 0, 2]
    expected = logits.log_softmax(-1)[torch.arange(3), choice.tokens]
    torch.testing.assert_close(choice.log_probabilities, expected)


def test_a_forced_token_has_the_models_log_probability():
    logits = PROBABILITIES.log().repeat(2, 1)
    choice = choose(logits, reference, forced_B=torch.tensor([-1, 2]))
    assert choice.tokens.tolist() == [0, 2]
    torch.testing.assert_close(choice.log_probabilities, PROBABILITIES[[0, 2]].log())
    assert choice.candidates is not None
    assert choice.candidates[1].tolist() == [0, 1, 2, 3]
