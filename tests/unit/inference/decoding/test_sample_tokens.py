"""Each filter against a hand-computed distribution."""

import math

import pytest
import torch

from texlens.inference.decoding.sample_tokens import draw, sample_tokens, truncated
from texlens.inference.decoding.sampling import Sampling

PROBABILITIES = torch.tensor([[0.5, 0.3, 0.15, 0.05]])


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(), [0, 1, 2, 3]),
        (Sampling(top_k=2), [0, 1]),
        (Sampling(top_k=1), [0]),
        (Sampling(top_k=9), [0, 1, 2, 3]),
        (Sampling(top_p=0.7), [0, 1]),
        (Sampling(top_p=0.01), [0]),
        (Sampling(min_p=0.3), [0, 1, 2]),
        (Sampling(min_p=0.31), [0, 1]),
        (Sampling(min_p=1.0), [0]),
        (Sampling(top_k=3, top_p=0.9, min_p=0.5), [0, 1]),
    ],
)
def test_filters_keep_the_documented_tokens(sampling, expected):
    assert truncated(PROBABILITIES, sampling)[0].nonzero()[:, 0].tolist() == expected


def test_drawn_tokens_follow_the_distribution():
    generator = torch.Generator().manual_seed(0)
    tokens = draw(PROBABILITIES.log().repeat(20_000, 1), Sampling(temperature=1.0), generator)
    shares = torch.bincount(tokens, minlength=4) / len(tokens)
    assert shares.tolist() == pytest.approx(PROBABILITIES[0].tolist(), abs=0.015)


def test_repetition_penalty_divides_positive_logits_and_multiplies_negative_ones():
    logits = torch.tensor([[2.0, 1.5, -1.0, -1.2], [2.0, 1.5, -1.0, -1.2]])
    samplings = [Sampling(repetition_penalty=2.0), Sampling()]
    tokens, log_probabilities, _ = sample_tokens(logits, samplings, [None, None], [[0, 2], [0, 2]])

    assert tokens.tolist() == [1, 0], "2.0 / 2 is under 1.5"
    assert log_probabilities == pytest.approx(
        [logits[0].log_softmax(0)[1].item(), logits[1].log_softmax(0)[0].item()]
    ), "of the model's own distribution"


def test_alternatives_are_the_most_probable_tokens_of_the_rows_that_ask():
    logits = PROBABILITIES.log().repeat(2, 1)
    _, _, (first, second) = sample_tokens(logits, [Sampling(top_logprobs=2), Sampling()], [None, None])
    assert [(token, pytest.approx(value)) for token, value in first] == [(0, math.log(0.5)), (1, math.log(0.3))]
    assert second == []


def test_row_with_nan_has_no_log_probability_and_leaves_the_others(recwarn):
    logits = PROBABILITIES.log().repeat(3, 1)
    logits[1, 2] = torch.nan
    sampling = Sampling(temperature=1.0)
    tokens, log_probabilities, _ = sample_tokens(logits, [sampling] * 3, [None] * 3)

    assert math.isnan(log_probabilities[1])
    assert all(value < 0 for value in (log_probabilities[0], log_probabilities[2]))
    assert tokens.shape == (3,)
