"""The clipped policy loss by its formula, for ratios of tokens and of answers, and its normalizations."""

from math import exp, log

import pytest
import torch

from texlens.training.objectives.losses.policy import policy_loss, token_weights, weight_total

ANSWERS = torch.tensor([0, 0, 1])
CLIP = (0.2, 0.28)


def loss(policy, old, advantages, **options):
    return policy_loss(
        torch.tensor(policy),
        torch.tensor(old),
        torch.tensor(advantages),
        ANSWERS,
        **{"ratio": "token", "clip": CLIP, **options},
    )


def test_a_ratio_beyond_the_bound_counts_as_the_bound_where_it_helps():
    outcome = loss([log(1.5), log(0.5), log(1.5)], [0.0] * 3, [1.0, -1.0])
    assert outcome.loss.tolist() == pytest.approx([-1.28, -0.5, 1.5])
    assert outcome.is_clipped.tolist() == [True, False, False]


def test_a_small_ratio_is_clipped_for_a_bad_answer():
    outcome = loss([log(0.5), 0.0, log(0.5)], [0.0] * 3, [-2.0, -1.0])
    assert outcome.loss.tolist() == pytest.approx([1.6, 2.0, 0.8])
    assert outcome.is_clipped.tolist() == [True, False, True]


def test_the_ratio_of_a_sequence_is_the_geometric_mean_of_its_tokens():
    outcome = loss([log(1.2), log(1.0), log(0.9)], [0.0] * 3, [1.0, 1.0], ratio="sequence", clip=(0.5, 0.5))
    assert outcome.loss.tolist() == pytest.approx([-(1.2**0.5)] * 2 + [-0.9])


def test_at_the_old_weights_the_gradient_is_minus_the_advantage():
    policy = torch.tensor([-1.0, -2.0, -3.0], requires_grad=True)
    advantages = torch.tensor([0.5, -0.25])
    policy_loss(policy, policy.detach(), advantages, ANSWERS, ratio="token", clip=CLIP).loss.sum().backward()
    assert policy.grad.tolist() == [-0.5, -0.5, 0.25]


def test_the_divergence_is_never_negative_and_adds_its_weight():
    outcome = loss([-1.0, -2.0, -1.0], [-1.0, -2.0, -1.0], [0.0, 0.0], kl=0.5, start_L=torch.tensor([-1.5, -1.0, -1.0]))
    expected = [exp(-0.5) + 0.5 - 1, exp(1.0) - 1.0 - 1, 0.0]
    assert outcome.divergence.tolist() == pytest.approx(expected)
    assert outcome.loss.tolist() == pytest.approx([0.5 * value for value in expected])


@pytest.mark.parametrize(
    ("normalize", "weights", "total"),
    [("tokens", [1, 1, 1], 3), ("answers", [0.5, 0.5, 1], 2), ("length", [0.1] * 3, 2)],
)
def test_weights_of_tokens_by_normalization(normalize, weights, total):
    counts = torch.tensor([2, 1])
    assert token_weights(counts, ANSWERS, normalize=normalize, limit=10).tolist() == pytest.approx(weights)
    assert weight_total(3, 2, normalize) == total
