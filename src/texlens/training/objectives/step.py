"""Forward and backward of one update over packs of answers, and the sum of gradients over processes."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from texlens.inputs.pack import Pack
from texlens.kernels.loss.log_probabilities import LabelScores
from texlens.models.packed.forward import PackedForward
from texlens.training.backends.packed_step import StepLoss, reduce_gradients
from texlens.training.backends.protocol import Step

PackLoss = Callable[[Pack, LabelScores, int], Tensor]
"""Of a pack, the scores of its labels and the pack's number: its part of the step's loss."""


def objective_step(
    forward: PackedForward, packs: Sequence[Pack], step: Step, pack_loss: PackLoss, *, temperature: float = 1.0
) -> StepLoss:
    """Leaves the gradients of all packs, summed over processes, at the trainable parameters.

    MoE-LoRA's balance loss of a pack is added with the share of the labels that are in it.
    """
    labels = sum(step.context.all_gather(sum(pack["label_count"] for pack in packs)))
    losses = []
    for number, pack in enumerate(packs):
        with step.balance.pack(pack) if step.balance else nullcontext():
            scores = forward.label_scores(pack, temperature=temperature, adapters_unchanged=number > 0)
        loss = pack_loss(pack, scores, number)
        if step.balance is not None:
            balance_loss = step.balance()
            step.balance.log.forget_layers()
            loss = loss if balance_loss is None else loss + balance_loss * (pack["label_count"] / max(labels, 1))
        step.backward(loss)
        losses.append(loss.detach())
    device = _device(step.parameters)
    pack_losses = torch.stack(losses) if losses else torch.zeros(0, device=device)
    is_bad = ~torch.isfinite(pack_losses)
    sums = torch.stack([pack_losses.sum().float(), is_bad.any().float()])
    if step.context.is_distributed:
        sums = reduce_gradients(step.parameters, sums, step.context)
    return StepLoss(sums[0], is_bad, sums[1] > 0)


def label_scores_of(forward: PackedForward, packs: Sequence[Pack], temperature: float = 1.0) -> list[LabelScores]:
    """Scores of each pack without gradients, with the weights as they are."""
    with torch.no_grad():
        return [
            forward.label_scores(pack, temperature=temperature, adapters_unchanged=number > 0)
            for number, pack in enumerate(packs)
        ]


def _device(parameters: Sequence[nn.Parameter]) -> torch.device:
    return parameters[0].device if parameters else torch.device("cpu")
