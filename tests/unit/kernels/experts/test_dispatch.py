"""Rows of pairs at their experts; between several processes tests/integration/test_divided.py compares them."""

import pytest
import torch
from torch import distributed

from texlens.kernels.experts.dispatch import DividedDispatch, ExpertOwners, LocalDispatch, dispatch_of
from texlens.kernels.experts.routing import sort_by_expert

EXPERTS = torch.tensor([[2, 0], [1, 2], [2, 3]])
WEIGHTS = torch.tensor([[0.25, 0.75], [0.5, 0.5], [0.125, 0.875]])


@pytest.fixture
def group():
    """A process group of this process alone."""
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def test_experts_are_owned_in_about_equal_shares():
    assert ExpertOwners.of(10, 0, 4).bounds == (0, 3, 6, 8, 10)
    assert ExpertOwners.of(10, 2, 4).experts == slice(6, 8)
    assert ExpertOwners.of(1, 1, 2).experts == slice(1, 1)


def test_divided_dispatch_gives_what_the_local_one_gives(group):
    routing = sort_by_expert(EXPERTS, 5)
    local = dispatch_of(routing, None)
    divided = dispatch_of(routing, ExpertOwners.of(5, 0, 1))
    assert isinstance(local, LocalDispatch)
    assert isinstance(divided, DividedDispatch)
    x, addend = torch.randn(3, 4), torch.randn(3, 4)
    assert divided.ends.tolist() == local.ends.tolist() == [1, 2, 5, 6, 6]
    assert torch.equal(divided.gather(x), local.gather(x))
    assert divided.gather(x, 2).shape == (6, 6)
    assert torch.equal(divided.gather(x, 2)[:, :4], local.gather(x))
    y = local.gather(x) * torch.arange(6)[:, None]
    assert torch.equal(divided.combine(y, WEIGHTS, addend), local.combine(y, WEIGHTS, addend))
    assert torch.equal(divided.pair_weights(WEIGHTS), local.pair_weights(WEIGHTS))
    grads = torch.arange(6.0)
    assert torch.equal(divided.weight_grads(grads), local.weight_grads(grads))


def test_gradients_travel_back_to_the_rows_tokens(group):
    dispatch = dispatch_of(sort_by_expert(EXPERTS, 4), ExpertOwners.of(4, 0, 1))
    x = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    scale = torch.arange(6.0, dtype=torch.float64)[:, None]
    torch.autograd.gradcheck(lambda x: dispatch.pairs_of(dispatch.rows_of(x) * scale), x)


def test_process_without_rows_gets_empty_tensors():
    routing = sort_by_expert(EXPERTS[:0], 2)
    dispatch = DividedDispatch(routing, None, [0], [0], torch.zeros(1, 2, dtype=torch.int32))
    assert dispatch.ends.tolist() == [0, 0]
