"""Groups of processes."""

import pytest
import torch

from texlens.core.errors import ConfigError, RunError
from texlens.training.distributed.context import SINGLE_PROCESS, DistributedContext, _lost_peer_is_run_error
from texlens.training.prepare import check_same_inputs


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
