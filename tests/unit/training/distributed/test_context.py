"""The distributed context without other processes; `tests/integration/test_distributed.py` has the rest."""

import torch

from texlens.training.distributed.context import SINGLE_PROCESS, DistributedContext
from texlens.training.logging.throughput import BatchStats


def test_single_process_needs_no_communication():
    assert SINGLE_PROCESS.is_main
    assert not SINGLE_PROCESS.is_distributed
    assert SINGLE_PROCESS.all_gather("x") == ["x"]
    assert SINGLE_PROCESS.broadcast(lambda: 3) == 3
    assert SINGLE_PROCESS.all_reduce(torch.ones(2)).tolist() == [1, 1]


def test_processes_of_a_machine_share_its_resources():
    assert [DistributedContext(0, 8, 0, 4).per_process(count) for count in (0, 2, 8, 9)] == [0, 1, 2, 2]
    assert not DistributedContext(1, 2, 1, 2).is_main


def test_batch_stats_reach_other_processes_as_plain_numbers():
    batch = {"input_ids": torch.ones(2, 3), "attention_mask": torch.tensor([[1, 1, 1], [1, 1, 0]])}
    assert BatchStats.of(batch).on_host() == BatchStats(2, 5)
    assert isinstance(BatchStats.of(batch).on_host().tokens, int)
