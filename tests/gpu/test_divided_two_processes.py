"""Trainings of two processes that share one GPU, weights or experts divided between them, in the kernels of a GPU.

The same packs are trained with divided and with whole weights: losses, norms and adapters agree. One process lays all
rows into other packs, which round otherwise in bfloat16; in float32 it agrees to 1e-4.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.gpu import divided_trainings
from tests.gpu.divided_trainings import CASES, STEPS
from tests.integration.test_distributed import history, weights
from tests.unit.models.packed.test_nf4 import save_wide
from texlens.core.run_folder import RunFolder

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="not installed: triton"),
]
ROOT = Path(__file__).parents[2]
NAMES = [name for name in CASES if "nf4" not in name or importlib.util.find_spec("bitsandbytes")]
DENSE = [name for name in NAMES if name.startswith("dense")]
MIXTURES = [name for name in NAMES if name.startswith("experts")]
MEASURED = ("loss", "grad_norm", "eval_loss", "eval_edit_similarity")
FLOAT32 = 1e-4
"""Relative difference; products of other sizes are summed in another order."""
SAME_PACKS, OTHER_ROUNDING = 1e-3, 0.02
"""Relative differences in bfloat16. Sums over the experts of each process are added up in another order, and packs of
other rows round otherwise, which may turn a token of the two short texts that are read."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, Path]:
    """The folders of one process and of two."""
    folder = tmp_path_factory.mktemp("trainings")
    for family in ("qwen3_vl", "qwen3_vl_moe"):
        save_wide(folder / family, family)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    commands = [
        [*python, divided_trainings.__file__, folder, folder / output, *names]
        for python, output in (([sys.executable], "one"), (launcher, "two"))
        for names in (DENSE, MIXTURES)
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    environment |= {"OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for command in commands
    ]
    errors = [process.communicate(timeout=400)[1] for process in started]
    for process, stderr in zip(started, errors, strict=True):
        assert process.returncode == 0, stderr[-4000:]
    single, pair = folder / "one", folder / "two"
    ended = [name for name in NAMES if not errors_of((single, pair), name)]
    print(json.dumps({name: figures(single, pair, name) for name in ended}, indent=1))
    return single, pair


def errors_of(folders: tuple[Path, Path], name: str) -> str:
    """What ended a training early, or nothing."""
    files = [folder / f"{name}.error" for folder in folders]
    return "\n".join(file.read_text()[-3000:] for file in files if file.exists())


def figures(single: Path, pair: Path, name: str) -> dict:
    """Largest relative differences of the divided training from the replicated one, and from that of one process; and
    the peak of a process."""
    return {
        "same packs": differences(pair / name, pair / f"{name} replicated"),
        "one process": differences(pair / name, single / name),
        "peak_memory_gib": RunFolder(pair / name).manifest["training"]["peak_memory_gib"],
        "engine": RunFolder(pair / name).manifest["engine"],
    }


def differences(run: Path, other: Path) -> dict[str, float]:
    largest = {}
    for key in MEASURED:
        values, expected = (history(folder.parent, folder.name, key) for folder in (run, other))
        assert len(values) == len(expected) > 0
        largest[key] = max(abs(a - b) / max(abs(b), 1e-12) for a, b in zip(values, expected, strict=True))
    left, right = (weights(folder, "adapter") for folder in (run, other))
    assert left.keys() == right.keys()
    joined = [torch.cat([part[name].double().flatten() for name in sorted(part)]) for part in (left, right)]
    largest["adapter"] = ((joined[0] - joined[1]).norm() / joined[1].norm()).item()
    return largest


@pytest.mark.parametrize("name", NAMES)
def test_divided_weights_train_as_whole_ones_in_the_same_packs(trained, name):
    assert not errors_of(trained, name)
    _, pair = trained
    differing = differences(pair / name, pair / f"{name} replicated")
    sums_travel = name.startswith("experts") and "float32" not in name
    if sums_travel:
        differing.pop("eval_edit_similarity")
    assert max(differing.values()) < (OTHER_ROUNDING if sums_travel else SAME_PACKS), differing


@pytest.mark.parametrize("name", NAMES)
def test_divided_weights_train_as_one_process(trained, name):
    assert not errors_of(trained, name)
    single, pair = trained
    differing = differences(pair / name, single / name)
    differing.pop("eval_edit_similarity")
    assert max(differing.values()) < (FLOAT32 if "float32" in name else OTHER_ROUNDING), differing
    assert len(history(pair, name, "loss")) == STEPS


@pytest.mark.parametrize("name", NAMES)
def test_weights_were_divided_and_layers_fused(trained, name):
    assert not errors_of(trained, name)
    _, pair = trained
    engine = RunFolder(pair / name).manifest["engine"]
    division = CASES[name][1]
    assert engine["parallel"] == {"experts": "replicate", **division}
    assert engine["processes"] == 2
    assert engine["fused_layers"] == (0 if "float32" in name else 2)  # without Triton layers run module by module
    assert engine["compiled"] == ("float32" not in name)
