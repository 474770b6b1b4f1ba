"""The packed backend: losses over packs and processes."""

import torch
from torch import nn

from tests.unit.training.backends.packs import Forward, TwoProcesses
from texlens.training.backends.packed_step import packed_step
from texlens.training.distributed.context import SINGLE_PROCESS


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
