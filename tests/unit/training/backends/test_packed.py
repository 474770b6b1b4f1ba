"""The packed backend: losses over packs and processes."""

import torch
from torch import nn

from texlens.training.backends.packed_step import packed_step
from texlens.training.distributed.context import SINGLE_PROCESS, DistributedContext


class TwoProcesses(DistributedContext):
    """The other process has the same values as this one, and a bad pack if `bad` is 1."""

    bad = 0.0

    def all_reduce(self, tensor):
        tensor *= 2
        tensor[-1] += self.bad
        return tensor


class Forward:
    """A model whose loss is its weight times the pack's value."""

    def __init__(self, weight):
        self.weight, self.same_adapters = weight, []

    def loss(self, pack, *, adapters_unchanged):
        self.same_adapters.append(adapters_unchanged)
        return (self.weight * pack["value"]).sum()


def test_the_loss_is_the_mean_over_labels_of_all_packs():
    weight = nn.Parameter(torch.tensor([2.0]))
    forward = Forward(weight)
    outcome = packed_step(
        forward, [{"value": 3.0, "label_count": 2}, {"value": 5.0, "label_count": 2}], 4, [weight], SINGLE_PROCESS
    )
    assert outcome.loss.item() == 4.0
    assert weight.grad.tolist() == [2.0]
    assert forward.same_adapters == [False, True]
    assert (outcome.is_bad.tolist(), outcome.any_bad.item()) == ([False, False], False)


def test_process_without_packs_takes_part():
    weight = nn.Parameter(torch.tensor([2.0]))
    outcome = packed_step(Forward(weight), [], 4, [weight], TwoProcesses(1, 2))
    assert (outcome.loss.item(), outcome.is_bad.tolist(), outcome.any_bad.item()) == (0.0, [], False)
    assert weight.grad.tolist() == [0.0]
