"""Fixtures of these tests."""

import pytest

from texlens.training.trackers.protocol import TrackedRun


@pytest.fixture
def run(tmp_path, monkeypatch):
    for name, value in {
        "WANDB_MODE": "offline",
        "SWANLAB_MODE": "offline",
        "TRACKIO_DIR": str(tmp_path / "trackio"),
    }.items():
        monkeypatch.setenv(name, value)
    return TrackedRun(tmp_path, "project", "experiment", ("nano", "test"), {"train": {"steps": 2}})
