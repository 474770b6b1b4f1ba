from pathlib import Path

import pytest

from texlens.cli.training.train import train
from texlens.core.errors import ConfigError


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
