"""Hostile checkpoints, adapters, run folders, run files, chat templates and requests: used or refused in one line, in
bounded time and memory. CI runs one case of each group; `make test-all` sets HOSTILE_CASES=20."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.conftest import environment

ROOT = Path(__file__).parents[2]
CASES = os.environ.get("HOSTILE_CASES", "1")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="cases run in forked processes")
def test_hostile_input_is_used_or_refused_within_bounds():
    series = subprocess.run(
        [sys.executable, ROOT / "benchmarks/hostile_input.py", "--cases", CASES],
        env=environment(),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert series.returncode == 0, series.stderr[-3000:]
    groups = [json.loads(line[line.index("{") :]) for line in series.stdout.splitlines()]
    assert len(groups) == 9
    assert all(counts.get("used", 0) + counts.get("refused", 0) > 0 for counts in groups)
