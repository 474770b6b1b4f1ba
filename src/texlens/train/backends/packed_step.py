"""A step of the packed engine: this process's packs there and back, and what all processes made of theirs added up.

The gradients of all trained parameters go as one flat tensor, with the loss behind them. No DistributedDataParallel
stands around the model: its hooks expect one forward pass of the whole model in each process, where packs take several,
or none, on functions of their own.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from texlens.adapters.moe_lora.model import BalanceLoss
from texlens.models.packed.forward import PackedForward
from texlens.train.distributed.context import Processes


@dataclass(frozen=True)
class StepLoss:
    """All on the device.

    Args:
        loss: the mean over the step's labels, in nats, of all processes' packs.
        bad: of this process's packs, those whose loss is no number.
        any_bad: whether any process has such a pack.
    """

    loss: Tensor
    bad: Tensor
    any_bad: Tensor


def packed_step(
    forward: PackedForward,
    packs: Sequence[dict[str, Any]],
    label_count: int,
    trained: Sequence[nn.Parameter],
    processes: Processes,
    *,
    balance: BalanceLoss | None = None,
    backward: Callable[[Tensor], None] = Tensor.backward,
) -> StepLoss:
    """Leaves the gradients of the whole step, of all processes, at the `trained` parameters.

    Args:
        packs: of this process, on its device.
        label_count: of the whole step, all processes together.
    """
    losses = []
    for number, pack in enumerate(packs):
        with balance.pack(pack) if balance else nullcontext():
            loss = forward.loss(pack, adapters_unchanged=number > 0) / label_count
        extra = balance() if balance else None
        whole = loss if extra is None else loss + extra * (len(pack["labels"]) / label_count)
        backward(whole)
        losses.append(whole.detach())
    device = trained[0].device if trained else torch.device("cpu")
    own = torch.stack(losses) if losses else torch.zeros(0, device=device)
    bad = ~torch.isfinite(own)
    sums = torch.stack([own.sum().float(), bad.any().float()])
    if processes.several:
        sums = add_gradients(trained, sums, processes)
    return StepLoss(sums[0], bad, sums[1] > 0)


def add_gradients(trained: Sequence[nn.Parameter], beside: Tensor, processes: Processes) -> Tensor:
    """Puts the sum over all processes in the place of each gradient, and gives that of the numbers `beside`.

    A parameter that this process has no gradient of counts as zeros. All go together as float32, and the gradients
    are views of that sum where they are float32 themselves.
    """
    parts = [torch.zeros_like(one) if one.grad is None else one.grad for one in trained]
    flat = torch.cat([*(part.reshape(-1).float() for part in parts), beside.float()])
    del parts
    for one in trained:
        one.grad = None
    processes.add(flat)
    *sums, beside = flat.split([*(one.numel() for one in trained), beside.numel()])
    for one, total in zip(trained, sums, strict=True):
        one.grad = total.view_as(one).to(one.dtype)
    return beside.clone()
