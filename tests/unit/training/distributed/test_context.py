"""The distributed context without other processes; `tests/integration/test_distributed.py` has the rest."""

import pytest
import torch

from texlens.core.errors import ConfigError, RunError
from texlens.training.distributed.context import SINGLE_PROCESS, DistributedContext, _lost_peer_is_run_error
from texlens.training.logging.expert_utilization import mean_utilization
from texlens.training.logging.throughput import BatchStats
from texlens.training.prepare import check_same_inputs


def test_single_process_needs_no_communication():
    assert SINGLE_PROCESS.is_main
    assert not SINGLE_PROCESS.is_distributed
    assert SINGLE_PROCESS.all_gather("x") == ["x"]
    assert SINGLE_PROCESS.broadcast(lambda: 3) == 3
    assert SINGLE_PROCESS.all_reduce(torch.ones(2)).tolist() == [1, 1]


def test_processes_of_a_machine_share_its_resources():
    assert [DistributedContext(0, 8, 0, 4).per_process(count) for count in (0, 2, 8, 9)] == [0, 1, 2, 2]
    assert not DistributedContext(1, 2, 1, 2).is_main


def test_processes_on_one_gpu_are_refused():
    second = DistributedContext(1, 2, 1, 2)
    for device in ("cpu", "cuda", "cuda:1"):
        second.check_device(torch.device(device))
    SINGLE_PROCESS.check_device(torch.device("cuda:3"))
    with pytest.raises(ConfigError, match=r"model\.device: cuda:0 would be the GPU of all processes; use auto"):
        second.check_device(torch.device("cuda:0"))


def test_different_rows_on_another_machine_are_refused_before_training():
    inputs = {"weights": "ab", "train rows": (100, 17_000)}
    check_same_inputs([inputs, dict(inputs)])
    with pytest.raises(RunError, match=r"process 1 finds other train rows \(\(99, 16830\)\) than process 0 \(\(100, "):
        check_same_inputs([inputs, {**inputs, "train rows": (99, 16_830)}])


@pytest.mark.parametrize(
    ("reason", "ending"),
    [
        ("Connection closed by peer", "last checkpoint"),
        ("no socket\nat c10d", "(torch: no socket)"),
    ],
)
def test_failed_collective_reports_torch_s_reason_unless_a_peer_closed_the_connection(reason, ending):
    with pytest.raises(RunError) as caught, _lost_peer_is_run_error():
        raise RuntimeError(reason)
    assert str(caught.value).endswith(ending)


def test_batch_stats_reach_other_processes_as_plain_numbers():
    batch = {"input_ids": torch.ones(2, 3), "attention_mask": torch.tensor([[1, 1, 1], [1, 1, 0]])}
    assert BatchStats.of(batch).on_host() == BatchStats(2, 5)
    assert isinstance(BatchStats.of(batch).on_host().tokens, int)


def test_expert_utilization_is_the_mean_over_processes_that_used_the_layer():
    use = [{"a": [0.5, 0.5], "b": [1.0, 0.0]}, {"a": [0.0, 1.0]}]
    assert mean_utilization(use) == {"a": [0.25, 0.75], "b": [1.0, 0.0]}
    assert mean_utilization([{}, {}]) == {}
