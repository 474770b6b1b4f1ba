from pathlib import Path

import pytest
from rich.console import Console

from texlens.cli.training.train import show_result, train
from texlens.core.errors import ConfigError
from texlens.core.run_folder import RunFolder
from texlens.training.logging.gpu_memory import GpuMemory


@pytest.fixture(autouse=True)
def environment_as_before(monkeypatch):
    """What `train` sets for its process and the libraries in it goes when the test ends."""
    monkeypatch.setenv("PYTORCH_ALLOC_CONF", "")
    for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_processes_can_not_be_asked_for_inside_one_of_several(monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(ConfigError, match=r"--processes can't be used here: .* as one of 4; leave it out"):
        train(Path("run.yaml"), processes=2)


def test_one_of_several_that_is_not_reported_where_they_meet_says_so(monkeypatch):
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match=r"but not where they meet .*; start with --processes or torchrun"):
        train(Path("run.yaml"))


def test_the_memory_before_at_the_peak_and_its_share_of_the_gpu_are_printed(capsys):
    memory = GpuMemory(24.0, 6.0).after_training(15.0)
    training = {"steps": 10, "seconds": 60.0, "samples_per_s": 1.3, "peak_memory_gib": 14.2, **memory}
    folder = RunFolder(Path("runs/x"))
    show_result({"training": training}, None, folder, Console(width=200))
    assert (
        "GPU memory: 6.00 GiB before training, 15.00 at the peak (62.5% of 24.0 GiB), 9.00 for training (37.5%)"
    ) in capsys.readouterr().out
