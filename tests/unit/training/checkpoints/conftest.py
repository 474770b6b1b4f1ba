"""Fixtures of these tests."""

import pytest

from tests.unit.training.checkpoints.folders import FILES
from texlens.training.checkpoints.folder import finalize


@pytest.fixture
def folder(tmp_path):
    for step in (5, 10, 20):
        staging = tmp_path / ".partial" / f"checkpoint-{step}"
        staging.mkdir(parents=True)
        for name in FILES:
            (staging / name).write_text(f"{name} of step {step}")
        finalize(staging, tmp_path / staging.name)
    return tmp_path
