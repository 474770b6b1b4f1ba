"""Losses equal those of TRL 1.16.0 (huggingface.co/docs/trl): its own lines, run on these tensors on 2026-11-30."""

import pytest
import torch

from texlens.training.objectives.losses.dpo import dpo_loss
from texlens.training.objectives.losses.kto import divergence_of, kto_loss
from texlens.training.objectives.losses.orpo import orpo_loss
from texlens.training.objectives.losses.policy import policy_loss, token_weights, weight_total

POLICY = torch.tensor([[-1.5, -3.0], [-4.0, -3.5]])
START = torch.tensor([[-2.0, -2.5], [-3.0, -3.75]])


def test_dpo():
    assert dpo_loss(POLICY, START, beta=0.3).loss.tolist() == pytest.approx([0.5543552, 0.8981233])


def test_kto():
    others, others_at_start = torch.tensor([-9.0, -7.0, -6.0]), torch.tensor([-9.5, -7.25, -6.5])
    outcome = kto_loss(
        POLICY.T.flatten(),
        START.T.flatten(),
        torch.tensor([True, True, False, False]),
        divergence_of(others, others_at_start) / 3,
        beta=0.3,
        desirable_weight=1.2,
        undesirable_weight=0.7,
    )
    assert outcome.loss.tolist() == pytest.approx([0.5925004, 0.7256150, 0.3021760, 0.3412519], abs=1e-6)


def test_orpo():
    outcome = orpo_loss(POLICY, torch.tensor([[3, 2], [4, 5]]), beta=0.3)
    assert (outcome.likelihood_loss - outcome.loss).tolist() == pytest.approx([-0.0512578, -0.2974163], abs=1e-6)


@pytest.mark.parametrize(
    ("normalize", "ratio", "expected"),
    [
        ("answers", "token", -0.0080186),
        ("answers", "sequence", -0.0252155),
        ("tokens", "token", -0.2918707),
        ("tokens", "sequence", -0.3104846),
        ("length", "token", -0.0972902),
        ("length", "sequence", -0.1034949),
    ],
)
def test_grpo(normalize, ratio, expected):
    """Three answers of 3, 2 and 1 tokens, in TRL's names: grpo, bnpo (all tokens of a batch) and dr_grpo."""
    answers, counts = torch.tensor([0, 0, 0, 1, 1, 2]), torch.tensor([3, 2, 1])
    outcome = policy_loss(
        torch.tensor([-0.2, -1.0, -0.7, -0.9, -0.4, -2.0]),
        torch.tensor([-0.5, -1.1, -0.6, -0.5, -0.45, -1.6]),
        torch.tensor([1.0, -0.5, -0.75]),
        answers,
        ratio=ratio,
        clip=(0.2, 0.28),
        kl=0.05,
        start_L=torch.tensor([-0.4, -1.3, -0.7, -0.6, -0.5, -1.5]),
    )
    weights = token_weights(counts, answers, normalize=normalize, limit=6)
    loss = (outcome.loss * weights).sum() / weight_total(6, 3, normalize)
    assert loss.item() == pytest.approx(expected, abs=1e-6)
