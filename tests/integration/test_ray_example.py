"""The Ray Data example of docs/how-to/read-many-images.md, as it is printed, on one machine."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.drawn_images import drawn

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray: pip install 'texlens[ray]'")
PAGE = Path(__file__).parents[2] / "docs/how-to/read-many-images.md"
LOCAL = "import ray\nray.init(num_cpus=4, include_dashboard=False)\n"


def test_the_example_reads_a_folder(tmp_path):
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0]
    (tmp_path / "scans").mkdir()
    for number in range(3):
        (tmp_path / f"scans/{number}.png").write_bytes(drawn(120, 40, seed=number))
    environment = os.environ | {"RAY_AUTH_MODE": "disabled", "HOME": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-c", LOCAL + code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )

    assert result.returncode == 0, result.stderr[-3000:]
    files = (tmp_path / "readings").rglob("*.json")
    rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert sorted(Path(row["path"]).name for row in rows) == ["0.png", "1.png", "2.png"]
    assert all(isinstance(row["latex"], str) and row["stop"] in ("end", "length", "loop") for row in rows)
    assert not any("bytes" in row for row in rows)
