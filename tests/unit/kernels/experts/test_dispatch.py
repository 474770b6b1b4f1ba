"""Rows of pairs at their experts; between several processes tests/integration/test_divided.py compares them."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import distributed

from texlens.kernels.experts.dispatch import (
    DividedDispatch,
    ExpertOwners,
    LocalDispatch,
    SentRows,
    Traffic,
    dispatch_of,
)
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


def test_process_without_rows_gets_empty_tensors(group):
    routing = sort_by_expert(EXPERTS[:0], 2)
    traffic, rows = Traffic([0], [0], [0], [0]), SentRows.of(routing, EXPERTS[:0], 1)
    dispatch = DividedDispatch(routing, None, traffic, rows, torch.zeros(1, 3, dtype=torch.int32))
    assert dispatch.ends.tolist() == [0, 0]
    assert dispatch.gather(torch.zeros(0, 4)).shape == (0, 4)


class Meeting:
    """`all_to_all_single` between threads, which stand for processes."""

    def __init__(self, processes: int):
        self.barrier, self.parts, self.rows = threading.Barrier(processes), [[] for _ in range(processes)], 0
        self.thread = threading.local()

    def exchange(self, received, sent, received_sizes, sent_sizes, group=None):
        self.parts[self.thread.rank] = list(sent.split(sent_sizes))
        self.barrier.wait()
        received.copy_(torch.cat([parts[self.thread.rank] for parts in self.parts]))
        assert [len(parts[self.thread.rank]) for parts in self.parts] == received_sizes
        self.barrier.wait()

    def run(self, work, processes: int) -> list:
        def of_rank(rank: int):
            self.thread.rank = rank
            return work(rank)

        with ThreadPoolExecutor(processes) as pool:
            return list(pool.map(of_rank, range(processes)))


@pytest.mark.parametrize(("processes", "experts"), [(2, 6), (3, 7), (4, 3)])
def test_processes_that_divide_experts_get_what_one_with_all_of_them_gets(processes, experts, monkeypatch):
    """The fourth process has no tokens whose experts are its own, or, with three experts, none of those at all."""
    meeting, stack = Meeting(processes), torch.randn(experts, 4, dtype=torch.float64)
    monkeypatch.setattr(distributed, "all_to_all_single", meeting.exchange)

    def outcome(rank: int, owners: ExpertOwners | None) -> list[torch.Tensor]:
        numbers = torch.Generator().manual_seed(rank)
        chosen = torch.rand(5 - rank, experts, generator=numbers).topk(3, -1).indices
        x, weights, addend = (torch.randn(5 - rank, size, generator=numbers, dtype=torch.float64) for size in (4, 3, 4))
        dispatch = dispatch_of(sort_by_expert(chosen, experts), owners)
        part = stack if owners is None else stack[owners.experts]
        of_row = torch.arange(len(part)).repeat_interleave(torch.diff(dispatch.ends, prepend=torch.zeros(1)).long())
        y = dispatch.gather(x) * part[of_row]
        scores = dispatch.pair_weights(weights) * y.sum(-1)
        results = dispatch.combine(y, weights, addend), dispatch.combine(y, None, None), dispatch.weight_grads(scores)
        return [*results, dispatch.gather(x, 2)[:, :4].sum(0)]

    divided = meeting.run(lambda rank: outcome(rank, ExpertOwners.of(experts, rank, processes)), processes)
    whole = [outcome(rank, None) for rank in range(processes)]
    for left, right in zip(divided, whole, strict=True):
        for part, expected in zip(left[:3], right[:3], strict=True):
            torch.testing.assert_close(part, expected)
    torch.testing.assert_close(sum(part[3] for part in divided), sum(part[3] for part in whole))


def test_row_of_a_token_travels_once_to_a_process(monkeypatch):
    meeting, experts = Meeting(2), torch.tensor([[0, 1, 2], [3, 4, 5], [0, 3, 4]])
    monkeypatch.setattr(distributed, "all_to_all_single", meeting.exchange)
    dispatches = meeting.run(lambda rank: ExpertOwners.of(6, rank, 2).dispatch(sort_by_expert(experts, 6)), 2)
    assert dispatches[0].traffic == Traffic([4, 5], [4, 4], [2, 2], [2, 2])
    assert dispatches[1].traffic == Traffic([4, 5], [5, 5], [2, 2], [2, 2])
