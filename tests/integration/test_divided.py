"""Weights divided over processes on CPUs: the results of one process that has all weights.

All families and both divisions with 2 processes, and one a family with 4, with DIVIDED=1 (`make test-all`), or the
runs whose names contain DIVIDED's value; `test_distributed.py` has a slice.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fixtures.placed_reading import read_placed, texts
from tests.fixtures.tiny_models import tiny_model, write_tiny_checkpoint
from tests.integration import divided_runs
from tests.integration.divided_runs import DENSE, MIXTURES, RUNS, STEPS, run_all
from tests.integration.test_distributed import ROOT, WITHOUT_GPU, close, history, start, weights
from texlens.core.run_folder import RunFolder
from texlens.training.checkpoints.folder import damage

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("DIVIDED" not in os.environ, reason="trains 22 models in 7 processes: set DIVIDED=1"),
]
PART = os.environ.get("DIVIDED", "1")
FOUR = (*(f"{family} weights" for family in DENSE), *(f"{family} both adapted" for family in MIXTURES))
NAMES = {
    2: [name for name in RUNS if PART in (name, "1") or PART in name],
    4: [name for name in (*FOUR, "qwen3_vl_moe experts", "stopped", "dropped") if PART == "1" or PART in name],
}
"""Of the runs, by the number of processes."""
PROCESSES = tuple(NAMES)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    for family in (*DENSE, *MIXTURES):
        write_tiny_checkpoint(folder / family, family)
    return folder


@pytest.fixture(scope="module")
def single(checkpoints, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("one")
    run_all(checkpoints, folder, names=[name for name in NAMES[2] if name != "dropped"])
    return folder


class Divided(dict):
    """The run folders by the number of processes, which are started when their runs are first asked for."""

    def __init__(self, checkpoints: Path, folder: Path):
        self.checkpoints, self.folder = checkpoints, folder

    def __missing__(self, processes: int) -> Path:
        self[processes] = launched(processes, self.checkpoints, self.folder / str(processes), *NAMES[processes])
        return self[processes]


@pytest.fixture(scope="module")
def divided(checkpoints, tmp_path_factory) -> dict[int, Path]:
    return Divided(checkpoints, tmp_path_factory.mktemp("divided"))


def launched(processes: int, checkpoints: Path, folder: Path, *names: str) -> Path:
    environment = {**WITHOUT_GPU, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [*launcher, divided_runs.__file__, checkpoints, folder, *names]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


COMPARED = [(name, count) for count in PROCESSES for name in NAMES[count] if name not in ("stopped", "dropped")]


@pytest.mark.parametrize(("name", "processes"), COMPARED)
def test_divided_weights_give_the_results_of_whole_ones(single, divided, name, processes):
    folder = divided[processes]
    for key in ("loss", "grad_norm", "eval_loss", "eval_edit_similarity"):
        assert history(folder, name, key) == pytest.approx(history(single, name, key), rel=1e-5)
    assert len(history(folder, name, "loss")) == STEPS
    checkpoint = f"{name}/checkpoints/checkpoint-2"
    first, second = weights(folder, checkpoint), weights(single, checkpoint)
    assert first.keys() == second.keys()
    assert close(first, second, 1e-6)


@pytest.mark.parametrize("processes", PROCESSES)
@pytest.mark.parametrize("name", ["qwen3_vl weights", "qwen3_vl_moe experts"])
def test_adapter_is_saved_as_by_one_process(single, divided, name, processes):
    folders = [folder / name / "adapter" for folder in (single, divided[processes])]
    files = [{path.name for path in folder.iterdir()} for folder in folders]
    assert files[0] == files[1]
    for file in ("adapter_config.json", "preprocessor_config.json"):
        assert (folders[0] / file).read_bytes() == (folders[1] / file).read_bytes()
    sizes = [(folder / "adapter_model.safetensors").stat().st_size for folder in folders]
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize("name", ["qwen3_vl weights", "qwen3_vl_moe both"])
def test_division_is_recorded(divided, name):
    engine = RunFolder(divided[2] / name).manifest["engine"]
    assert engine["parallel"] == {"weights": "shard", "experts": "shard" if "both" in name else "replicate"}
    assert engine["fused_layers"] == 2


@pytest.mark.parametrize("processes", PROCESSES)
def test_stopped_and_resumed_run_with_dropout_ends_as_an_uninterrupted_one(divided, processes):
    folder = divided[processes]
    assert close(weights(folder, "dropped/adapter"), weights(folder, "uninterrupted/adapter"), 0.0)
    assert history(folder, "dropped", "loss") == history(folder, "uninterrupted", "loss")


@pytest.mark.parametrize(("before", "after"), [(2, 4), (4, 2), (2, 1)])
def test_run_continues_on_another_number_of_processes(checkpoints, single, divided, tmp_path, before, after):
    shutil.copytree(divided[before] / "stopped", tmp_path / "stopped")
    assert len(history(tmp_path, "stopped", "loss")) == 2
    launched(after, checkpoints, tmp_path, "--resume", "stopped")
    assert history(tmp_path, "stopped", "loss") == pytest.approx(history(single, "stopped", "loss"), rel=1e-5)
    assert close(weights(tmp_path, "stopped/adapter"), weights(single, "stopped/adapter"), 1e-6)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_leaves_a_checkpoint_and_the_state_stopped(checkpoints, tmp_path, number):
    process = start(checkpoints / "qwen3_vl", tmp_path, epochs=1000, parallel={"weights": "shard"})
    wait_for(tmp_path / "run/checkpoints/checkpoint-1")
    process.send_signal(number)
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 128 + number, stderr
    manifest = RunFolder(tmp_path / "run").manifest
    assert manifest["state"] == "stopped"
    assert damage(tmp_path / f"run/checkpoints/checkpoint-{manifest['stopped_at_step']}") is None


def test_killed_command_ends_its_processes_and_the_run_continues(checkpoints, tmp_path):
    process = start(checkpoints / "qwen3_vl", tmp_path, epochs=1000, parallel={"weights": "shard"})
    wait_for(tmp_path / "run/checkpoints/checkpoint-1")
    process.kill()
    process.communicate(timeout=300)
    resume = [
        sys.executable,
        "-m",
        "texlens",
        "train",
        "--resume",
        tmp_path / "run",
        "--processes",
        "2",
        "--no-compare",
    ]
    limit = ["--no-compare", "--accept-changes", "--set", "train.epochs=null", "--set", "train.steps=1"]
    done = subprocess.run([*resume, *limit], env=WITHOUT_GPU, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 300
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert path.exists()


@pytest.mark.parametrize("family", [*DENSE, *MIXTURES])
def test_layers_on_two_devices_read_what_one_reads(family, tmp_path, monkeypatch):
    placed, moves = read_placed(family, tmp_path, monkeypatch)
    assert placed == texts(*tiny_model(family))
    assert moves > 16
