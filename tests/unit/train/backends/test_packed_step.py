"""Gradients of several processes, without processes."""

import pytest
import torch
from torch import nn

from texlens.train.backends.packed_step import add_gradients, packed_step
from texlens.train.distributed.context import ALONE, Processes


class Others(Processes):
    """Stands for two processes, of which the other has the same as this one, and a bad pack where `others` is set."""

    bad = 0.0

    def add(self, tensor):
        tensor *= 2
        tensor[-1] += self.bad
        return tensor


def parameters() -> list[nn.Parameter]:
    return [
        nn.Parameter(torch.ones(2, 3)),
        nn.Parameter(torch.ones(4)),
        nn.Parameter(torch.ones(2, dtype=torch.bfloat16)),
    ]


def test_gradients_are_added_in_place_and_missing_ones_count_as_zeros():
    trained = parameters()
    trained[0].grad = torch.arange(6.0).reshape(2, 3)
    trained[2].grad = torch.tensor([0.5, -2.0], dtype=torch.bfloat16)
    beside = add_gradients(trained, torch.tensor([3.0, 1.0]), Others(0, 2))
    assert beside.tolist() == [6.0, 2.0]
    assert trained[0].grad.tolist() == [[0, 2, 4], [6, 8, 10]]
    assert trained[1].grad.tolist() == [0, 0, 0, 0]
    assert trained[2].grad.dtype == torch.bfloat16
    assert trained[2].grad.tolist() == [1.0, -4.0]


class Forward:
    """Stands for a model whose loss is its weight times the pack."""

    def __init__(self, weight):
        self.weight, self.said = weight, []

    def loss(self, pack, *, adapters_unchanged):
        self.said.append(adapters_unchanged)
        return (self.weight * pack["value"]).sum()


def test_the_loss_is_the_mean_over_labels_of_all_packs():
    weight = nn.Parameter(torch.tensor([2.0]))
    forward = Forward(weight)
    taken = packed_step(forward, [{"value": 3.0}, {"value": 5.0}], 4, [weight], ALONE)
    assert taken.loss.item() == 4.0
    assert weight.grad.tolist() == [2.0]
    assert forward.said == [False, True]
    assert (taken.bad.tolist(), taken.any_bad.item()) == ([False, False], False)


def test_a_process_without_packs_takes_part():
    weight = nn.Parameter(torch.tensor([2.0]))
    taken = packed_step(Forward(weight), [], 4, [weight], Others(1, 2))
    assert (taken.loss.item(), taken.bad.tolist(), taken.any_bad.item()) == (0.0, [], False)
    assert weight.grad.tolist() == [0.0]


@pytest.mark.parametrize("own", [True, False])
def test_a_bad_pack_anywhere_is_known_everywhere(own):
    weight, processes = nn.Parameter(torch.tensor([2.0])), Others(0, 2)
    object.__setattr__(processes, "bad", 0.0 if own else 1.0)
    taken = packed_step(Forward(weight), [{"value": float("nan") if own else 1.0}], 4, [weight], processes)
    assert (taken.bad.tolist(), taken.any_bad.item()) == ([own], True)
