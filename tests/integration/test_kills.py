"""A training killed with SIGKILL at random file operations and resumed ends bit-equal to one that was never killed.

CI runs four seeds. The full series of 40 seeds, about 200 kills, runs with KILL_SEEDS=40 (as `make test-all` does).
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.tiny_models import write_tiny_checkpoint
from tests.integration import killed_runs
from tests.integration.conftest import environment

SEEDS = int(os.environ.get("KILL_SEEDS", "4"))
ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_killed_and_resumed_training_ends_bit_equal(tmp_path):
    checkpoint = write_tiny_checkpoint(tmp_path / "tiny", "qwen3_vl")
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, killed_runs.__file__, checkpoint, tmp_path / "runs", "1", str(SEEDS)],
        env=environment() | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(results) == SEEDS
    assert [result for result in results if result["problems"]] == [], done.stderr[-3000:]
    assert sum(result["kills"] for result in results) >= 3 * SEEDS
