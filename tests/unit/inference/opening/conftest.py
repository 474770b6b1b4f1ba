"""Fixtures of these tests."""

import shutil

import pytest

from tests.unit.inference.shared_base import made_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose best adapter and whose two checkpoints differ."""
    folder = tmp_path_factory.mktemp("source")
    run = made_run(folder, "tiny", "qwen3_vl", {"rank": 2})
    for step, name in ((5, "five"), (40, "forty-one")):
        other = made_run(folder, name, "qwen3_vl", {"rank": 2})
        shutil.copytree(other.adapter, run.checkpoints / f"checkpoint-{step}")
    return run
