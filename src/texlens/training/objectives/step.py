"""Forward and backward of one update over packs of answers, and the sum of gradients over processes."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor

from texlens.inputs.pack import Pack
from texlens.kernels.loss.log_probabilities import LabelScores
from texlens.models.packed.forward import PackedForward
from texlens.training.backends.packed import PackedBackend
from texlens.training.backends.packed_step import StepLoss, loss_of_all_processes
from texlens.training.backends.protocol import Step
from texlens.training.objectives.measurements import Measurements

PackLoss = Callable[[Pack, LabelScores], Tensor]
"""Of a pack and the scores of its labels: its part of the step's loss."""


def objective_step(
    packed: PackedBackend,
    packs: Sequence[Pack],
    step: Step,
    pack_loss: PackLoss,
    measurements: Measurements,
    *,
    temperature: float = 1.0,
) -> Tensor:
    """The loss of the packs; leaves their gradients, summed over processes, at the trainable parameters.

    MoE-LoRA's balance loss of a pack is added with the share of the labels that are in it. Packs that don't fit into
    memory are run again as smaller ones, where the backend does so.

    Args:
        measurements: what `pack_loss` adds to.
    """
    labels = sum(step.context.all_gather(sum(pack["label_count"] for pack in packs)))

    def run(packs: Sequence[Pack]) -> StepLoss:
        with measurements.unless_failed():
            losses = _pack_losses(packed.forward, packs, step, pack_loss, labels, temperature)
            return loss_of_all_processes(losses, step.parameters, step.context)

    return packed.run_packs(packs, step, run)


def _pack_losses(
    forward: PackedForward,
    packs: Sequence[Pack],
    step: Step,
    pack_loss: PackLoss,
    labels: int,
    temperature: float,
) -> list[Tensor]:
    losses = []
    for number, pack in enumerate(packs):
        with step.balance.pack(pack) if step.balance else nullcontext():
            scores = forward.label_scores(pack, temperature=temperature, adapters_unchanged=number > 0)
        loss = pack_loss(pack, scores)
        if step.balance is not None:
            balance_loss = step.balance()
            step.balance.log.forget_layers()
            loss = loss if balance_loss is None else loss + balance_loss * (pack["label_count"] / max(labels, 1))
        step.backward(loss)
        losses.append(loss.detach())
        del scores, loss  # with the graph, which would otherwise be there while the next pack is computed
    return losses


def label_scores_of(
    packed: PackedBackend, packs: Sequence[Pack], temperature: float = 1.0
) -> tuple[Sequence[Pack], list[LabelScores]]:
    """The packs, smaller ones where these did not fit into memory, and the scores of each without gradients, with the
    weights as they are."""

    def run(packs: Sequence[Pack]) -> list[LabelScores]:
        return [
            packed.forward.label_scores(pack, temperature=temperature, adapters_unchanged=number > 0)
            for number, pack in enumerate(packs)
        ]

    with torch.no_grad():
        return packed.retried(packs, run)
