"""Divided weights in two processes on GPUs, in the kernels that they run there, beside the whole model.

On one GPU both processes share it; `tests/integration/test_divided.py` has whole trainings, on CPUs.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.gpu import divided_passes
from tests.gpu.divided_passes import CASES, FAMILIES
from tests.unit.models.packed.test_nf4 import save_wide

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="not installed: triton"),
]
ROOT = Path(__file__).parents[2]
LIMIT = 0.02
"""Relative difference in bfloat16."""


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> list[dict]:
    folder = tmp_path_factory.mktemp("divided")
    for family in FAMILIES:
        save_wide(folder / family, family)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, divided_passes.__file__, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-4000:]
    processes = [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]
    print(json.dumps(processes))
    return processes


@pytest.mark.parametrize("name", CASES)
def test_divided_passes_are_those_of_the_whole_model(results, name):
    for process in results:
        assert max(process[name].values()) < LIMIT, process[name]
