"""Gradients of a distributed step, without other processes."""

import pytest
import torch
from torch import nn

from tests.unit.training.backends.packs import Forward, TwoProcesses
from texlens.training.backends.packed_step import packed_step, reduce_gradients


def parameters() -> list[nn.Parameter]:
    return [
        nn.Parameter(torch.ones(2, 3)),
        nn.Parameter(torch.ones(4)),
        nn.Parameter(torch.ones(2, dtype=torch.bfloat16)),
    ]


def test_gradients_are_summed_and_missing_ones_count_as_zeros():
    trained = parameters()
    trained[0].grad = torch.arange(6.0).reshape(2, 3)
    trained[2].grad = torch.tensor([0.5, -2.0], dtype=torch.bfloat16)
    appended = reduce_gradients(trained, torch.tensor([3.0, 1.0]), TwoProcesses(0, 2))
    assert appended.tolist() == [6.0, 2.0]
    assert trained[0].grad.tolist() == [[0, 2, 4], [6, 8, 10]]
    assert trained[1].grad.tolist() == [0, 0, 0, 0]
    assert trained[2].grad.dtype == torch.bfloat16
    assert trained[2].grad.tolist() == [1.0, -4.0]


@pytest.mark.parametrize("is_local", [True, False])
def test_bad_pack_of_any_process_is_known_to_all(is_local):
    weight, context = nn.Parameter(torch.tensor([2.0])), TwoProcesses(0, 2)
    object.__setattr__(context, "bad", 0.0 if is_local else 1.0)
    outcome = packed_step(
        Forward(weight), [{"value": float("nan") if is_local else 1.0, "label_count": 4}], 4, [weight], context
    )
    assert (outcome.is_bad.tolist(), outcome.any_bad.item()) == ([is_local], True)
