"""DPO, ORPO and KTO over the answers of a pack, with what each measures.

# A = answers of a pack, N = pairs
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from texlens.inputs.pack import Pack
from texlens.training.objectives.losses.dpo import dpo_loss, mean_likelihood_loss
from texlens.training.objectives.losses.kto import kto_loss
from texlens.training.objectives.losses.orpo import orpo_loss
from texlens.training.objectives.measurements import Measurements
from texlens.training.objectives.preference_rows import DESIRABLE


@dataclass(frozen=True)
class PackScores:
    """Summed log-probabilities of a pack's answers [A], now and at the start, and KTO's z; None where not used."""

    policy: Tensor
    start: Tensor | None
    divergence: Tensor | None = None


class PreferenceLoss(Protocol):
    """`unpaired`: answers are units, not pairs."""

    unpaired: ClassVar[bool]

    def __call__(self, pack: Pack, scores: PackScores, measurements: Measurements) -> Tensor:
        """The loss of each unit of the pack."""
        ...


@dataclass(frozen=True)
class DpoPackLoss:
    beta: float
    label_smoothing: float = 0.0
    sft_weight: float = 0.0
    unpaired: ClassVar[bool] = False

    def __call__(self, pack: Pack, scores: PackScores, measurements: Measurements) -> Tensor:
        assert scores.start is not None
        policy_N2, start_N2 = scores.policy.view(-1, 2), scores.start.view(-1, 2)
        outcome = dpo_loss(policy_N2, start_N2, beta=self.beta, label_smoothing=self.label_smoothing)
        _measure_pairs(measurements, outcome.chosen_reward, outcome.rejected_reward)
        if not self.sft_weight:
            return outcome.loss
        tokens_N = pack["answer_tokens"].view(-1, 2)[:, 0]
        return outcome.loss + self.sft_weight * mean_likelihood_loss(policy_N2[:, 0], tokens_N)


@dataclass(frozen=True)
class OrpoPackLoss:
    beta: float
    unpaired: ClassVar[bool] = False

    def __call__(self, pack: Pack, scores: PackScores, measurements: Measurements) -> Tensor:
        outcome = orpo_loss(scores.policy.view(-1, 2), pack["answer_tokens"].view(-1, 2), beta=self.beta)
        measurements.add_all("likelihood_loss", outcome.likelihood_loss)
        measurements.add_all("log_odds_ratio", outcome.log_odds_ratio)
        measurements.add_all("accuracy", outcome.log_odds_ratio > 0)
        return outcome.loss


@dataclass(frozen=True)
class KtoPackLoss:
    beta: float
    desirable_weight: float = 1.0
    undesirable_weight: float = 1.0
    unpaired: ClassVar[bool] = True

    def __call__(self, pack: Pack, scores: PackScores, measurements: Measurements) -> Tensor:
        assert scores.start is not None
        assert scores.divergence is not None
        is_desirable_A = pack[DESIRABLE] > 0
        outcome = kto_loss(
            scores.policy,
            scores.start,
            is_desirable_A,
            scores.divergence,
            beta=self.beta,
            desirable_weight=self.desirable_weight,
            undesirable_weight=self.undesirable_weight,
        )
        measurements.add("divergence", scores.divergence)
        for name, mask in (("chosen_reward", is_desirable_A), ("rejected_reward", ~is_desirable_A)):
            count = mask.sum()
            measurements.add(name, torch.where(mask, outcome.reward, 0).sum() / count.clamp(min=1), count)
        return outcome.loss


def _measure_pairs(measurements: Measurements, chosen_N: Tensor, rejected_N: Tensor) -> None:
    measurements.add_all("chosen_reward", chosen_N)
    measurements.add_all("rejected_reward", rejected_N)
    measurements.add_all("margin", chosen_N - rejected_N)
    measurements.add_all("accuracy", chosen_N > rejected_N)
