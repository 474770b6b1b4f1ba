"""Forward and backward of one optimizer step in packs, and the sum of gradients over all processes.

Gradients of all trainable parameters are reduced as one flat tensor, with the loss appended. The model is not wrapped
in DistributedDataParallel: its hooks expect one forward pass of the whole model in each process, whereas packs take
several, or none, through functions of their own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from texlens.adapters.moe_lora.model import BalanceLoss
from texlens.models.packed.forward import PackedForward
from texlens.training.backends.pack_graphs import PackGraphs, step_loss
from texlens.training.distributed.context import DistributedContext


@dataclass(frozen=True)
class StepLoss:
    """All on the device.

    Args:
        loss: mean over the labels of the step, in nats, of all processes' packs.
        is_bad: for each pack of this process, whether its loss is NaN or Inf.
        any_bad: whether any process has such a pack.
    """

    loss: Tensor
    is_bad: Tensor
    any_bad: Tensor


def packed_step(
    forward: PackedForward,
    packs: Sequence[dict[str, Any]],
    label_count: int,
    parameters: Sequence[nn.Parameter],
    context: DistributedContext,
    *,
    balance: BalanceLoss | None = None,
    backward: Callable[[Tensor], None] = Tensor.backward,
    graphs: PackGraphs | None = None,
    idle: Sequence[dict[str, Any]] = (),
) -> StepLoss:
    """Leaves the gradients of the whole step, summed over processes, at the trainable `parameters`.

    Args:
        packs: of this process, on its device.
        label_count: of the whole step, all processes together.
        graphs: of small packs, where they are used.
        idle: packs that add nothing: where weights are divided among processes, all take as many passes.
    """
    losses = []
    for index, pack in enumerate(packs):
        total = graphs.loss(pack, label_count, parameters, balance) if graphs is not None else None
        if total is None:
            total = step_loss(
                forward,
                pack,
                label_count,
                pack["label_count"],
                balance,
                adapters_unchanged=index > 0 and graphs is None,
            )
            backward(total)
        losses.append(total.detach())
        del total  # its graph has nodes of this stream, which a pack that is recorded as a CUDA graph must not meet
    for index, pack in enumerate(idle, len(packs)):
        backward(forward.loss(dict(pack), adapters_unchanged=index > 0) * 0.0)
    return loss_of_all_processes(losses, parameters, context)


def loss_of_all_processes(
    losses: Sequence[Tensor], parameters: Sequence[nn.Parameter], context: DistributedContext
) -> StepLoss:
    """The step's loss from those of this process's packs; gradients become their sum over all processes."""
    device = parameters[0].device if parameters else torch.device("cpu")
    pack_losses = torch.stack(list(losses)) if losses else torch.zeros(0, device=device)
    is_bad = ~torch.isfinite(pack_losses)
    sums = torch.stack([pack_losses.sum().float(), is_bad.any().float()])
    if context.is_distributed:
        sums = reduce_gradients(parameters, sums, context)
    return StepLoss(sums[0], is_bad, sums[1] > 0)


def reduce_gradients(parameters: Sequence[nn.Parameter], appended: Tensor, context: DistributedContext) -> Tensor:
    """Replaces each gradient by its sum over all processes; returns the sum of the `appended` numbers.

    A parameter without a gradient in this process counts as zeros. All are reduced together in float32, and gradients
    that are float32 themselves are views of that sum.
    """
    parts = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in parameters]
    flat = torch.cat([*(part.reshape(-1).float() for part in parts), appended.float()])
    del parts
    for parameter in parameters:
        parameter.grad = None
    context.all_reduce(flat)
    *sums, appended = flat.split([*(parameter.numel() for parameter in parameters), appended.numel()])
    for parameter, total in zip(parameters, sums, strict=True):
        parameter.grad = total.view_as(parameter).to(parameter.dtype)
    return appended.clone()
