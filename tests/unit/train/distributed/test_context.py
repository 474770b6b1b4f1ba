"""What one process among several knows; what they do together is in `tests/integration/test_several_processes.py`."""

import pytest
import torch

from texlens.core.errors import ConfigError, RunError
from texlens.train.distributed.context import ALONE, Processes, _others_may_be_gone
from texlens.train.logging.callbacks import Seen
from texlens.train.logging.experts import mean_use
from texlens.train.run import check_same


def test_one_alone_does_everything_itself():
    assert ALONE.main
    assert not ALONE.several
    assert ALONE.gather("x") == ["x"]
    assert ALONE.from_main(lambda: 3) == 3
    assert ALONE.add(torch.ones(2)).tolist() == [1, 1]


def test_processes_of_a_machine_share_what_it_has():
    assert [Processes(0, 8, 0, 4).share(number) for number in (0, 2, 8, 9)] == [0, 1, 2, 2]
    assert not Processes(1, 2, 1, 2).main


def test_processes_on_one_gpu_are_refused():
    second = Processes(1, 2, 1, 2)
    for device in ("cpu", "cuda", "cuda:1"):
        second.check(torch.device(device))
    ALONE.check(torch.device("cuda:3"))
    with pytest.raises(ConfigError, match=r"model\.device: cuda:0 would be the GPU of all processes; use auto"):
        second.check(torch.device("cuda:0"))


def test_other_rows_on_another_machine_are_named_before_training():
    known = {"weights": "ab", "train rows": (100, 17_000)}
    check_same([known, dict(known)])
    with pytest.raises(RunError, match=r"process 1 finds other train rows \(\(99, 16830\)\) than process 0 \(\(100, "):
        check_same([known, {**known, "train rows": (99, 16_830)}])


@pytest.mark.parametrize(
    ("torch_tells", "ends"),
    [
        ("Connection closed by peer", "last checkpoint"),
        ("no socket\nat c10d", "(torch tells: no socket)"),
    ],
)
def test_a_fault_between_processes_is_told_with_torch_s_words_unless_one_is_gone(torch_tells, ends):
    with pytest.raises(RunError) as told, _others_may_be_gone():
        raise RuntimeError(torch_tells)
    assert str(told.value).endswith(ends)


def test_what_a_process_saw_reaches_others_as_numbers():
    batch = {"input_ids": torch.ones(2, 3), "attention_mask": torch.tensor([[1, 1, 1], [1, 1, 0]])}
    assert Seen.of(batch).on_host() == Seen(2, 5)
    assert isinstance(Seen.of(batch).on_host().tokens, int)


def test_the_use_of_experts_is_the_mean_of_those_that_used_them():
    use = [{"a": [0.5, 0.5], "b": [1.0, 0.0]}, {"a": [0.0, 1.0]}]
    assert mean_use(use) == {"a": [0.25, 0.75], "b": [1.0, 0.0]}
    assert mean_use([{}, {}]) == {}
