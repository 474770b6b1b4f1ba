"""Commands killed with SIGKILL at random file operations, and called again, end bit-equal to those never killed.

CI runs one seed of each command. The full series runs with KILL_SEEDS=12 (as `make test-all` does): over 200 kills.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration import killed_commands
from tests.integration.conftest import environment
from tests.integration.kill_cases import CASES, LONG, broken_files

SEEDS = int(os.environ.get("KILL_SEEDS", "1"))
COMMANDS = [name for name in CASES if SEEDS > 1 or name not in LONG]
ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_killed_commands_end_bit_equal(tmp_path):
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    series = subprocess.run(
        [sys.executable, killed_commands.__file__, tmp_path, ",".join(COMMANDS), "1", str(SEEDS)],
        env=environment() | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert series.returncode == 0, series.stderr[-3000:]
    results = [json.loads(line) for line in series.stdout.splitlines()]
    print(json.dumps({"commands": len(COMMANDS), "seeds": SEEDS, "kills": sum(result["kills"] for result in results)}))
    assert {(result["command"], result["seed"]) for result in results} == {
        (name, seed) for name in COMMANDS for seed in range(1, SEEDS + 1)
    }
    assert [result for result in results if result["problems"]] == []
    assert sum(result["kills"] for result in results) >= 2.5 * len(COMMANDS) * SEEDS


def test_file_that_is_torn_under_its_final_name_is_found(tmp_path):
    (tmp_path / "whole.json").write_text("{}")
    (tmp_path / "torn.json").write_text('{"torn')
    (tmp_path / "torn.parquet").write_bytes(b"PAR")
    (tmp_path / ".partial.json").write_text('{"torn')
    broken = sorted(line.partition(":")[0] for line in broken_files(tmp_path))
    assert broken == ["torn.json", "torn.parquet"]
