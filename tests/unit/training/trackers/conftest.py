"""Fixtures of these tests."""

import sys
from types import SimpleNamespace

import pytest

from texlens.training.trackers.protocol import TrackedRun
from texlens.training.trackers.registry import TRACKERS


@pytest.fixture
def run(tmp_path, monkeypatch):
    for name, value in {
        "WANDB_MODE": "offline",
        "SWANLAB_MODE": "offline",
        "TRACKIO_DIR": str(tmp_path / "trackio"),
    }.items():
        monkeypatch.setenv(name, value)
    return TrackedRun(tmp_path, "project", "experiment", ("nano", "test"), {"train": {"steps": 2}})


@pytest.fixture
def started(monkeypatch):
    """`started(name, run)` is what the tracker's package is initialized with."""

    def of(name, run):
        arguments = {}
        package = SimpleNamespace(init=arguments.update)
        monkeypatch.setitem(sys.modules, TRACKERS[name].package, package)
        TRACKERS[name]().start(run)
        return arguments

    return of
