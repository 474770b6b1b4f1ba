"""Weights divided over processes on CPUs: the results of one process that has all weights.

All families and both divisions with 2 and 4 processes, and bases in fp8 and NF4, with DIVIDED=1 (`make test-all`), or
the runs whose names contain DIVIDED's value; `test_distributed.py` has a slice.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.fixtures.placed_reading import read_as_whole, read_placed, read_whole, save_adapter_of
from tests.fixtures.tiny_models import write_tiny_checkpoint
from tests.integration import divided_runs
from tests.integration.divided_runs import BOTH, DENSE, MIXTURES, QUANTIZED_FAMILIES, RUNS, STEPS, WEIGHTS, run_all
from tests.integration.test_distributed import ROOT, WITHOUT_GPU, close, history, start, weights
from tests.unit.models.packed.test_nf4 import save_wide
from texlens.core.run_folder import RunFolder
from texlens.training.checkpoints.folder import damage

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("DIVIDED" not in os.environ, reason="trains 34 models in 7 processes: set DIVIDED=1"),
]
PART = os.environ.get("DIVIDED", "1")
CHOSEN = [name for name in RUNS if (PART == "1" or PART in name) and (" nf4 " not in name or find_spec("bitsandbytes"))]
NAMES = {2: CHOSEN, 4: CHOSEN}
"""Of the runs, by the number of processes."""
PROCESSES = tuple(NAMES)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    for family in (*DENSE, *MIXTURES):
        write_tiny_checkpoint(folder / family, family)
    for family in QUANTIZED_FAMILIES:
        save_wide(folder / f"{family}-wide", family)
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


def test_two_machines_train_as_one_process(checkpoints, single, tmp_path):
    """Two launchers that meet as those of two machines do, with a process each."""
    name = next(name for name in NAMES[2] if name not in ("stopped", "dropped"))
    meeting = ["--rdzv-id", "texlens", "--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{free_port()}"]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1", *meeting]
    environment = {**WITHOUT_GPU, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [*launcher, "--local-addr", "127.0.0.1", divided_runs.__file__, checkpoints, tmp_path, name]
    machines = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for machine in machines:
        _, stderr = machine.communicate(timeout=300)
        assert machine.returncode == 0, stderr
    assert history(tmp_path, name, "loss") == pytest.approx(history(single, name, "loss"), rel=1e-5)
    assert RunFolder(tmp_path / name).manifest["engine"]["processes"] == 2
    assert close(weights(tmp_path, f"{name}/adapter"), weights(single, f"{name}/adapter"), 1e-6)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


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


@pytest.mark.parametrize("processes", PROCESSES)
@pytest.mark.parametrize("name", ["qwen3_vl weights", "qwen3_vl_moe both adapted"])
def test_run_of_divided_weights_is_read_and_evaluated_as_one_of_whole_ones(single, divided, name, processes):
    folders = [folder / name for folder in (single, divided[processes])]
    whole, parts = (evaluated(folder) for folder in folders)
    assert [row["text"] for row in parts] == [row["text"] for row in whole]
    assert [row["log_probability"] for row in parts] == pytest.approx(
        [row["log_probability"] for row in whole], abs=1e-4
    )
    assert len(whole) == 3


def evaluated(run: Path) -> list[dict]:
    """What `texlens evaluate` reads of the validation rows."""
    command = [sys.executable, "-m", "texlens", "evaluate", run, "--split", "validation"]
    done = subprocess.run(command, env=WITHOUT_GPU, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    path = next((run / "predictions").glob("validation.adapter*.jsonl"))
    return [json.loads(line) for line in path.read_text().splitlines()]


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


@pytest.mark.parametrize("processes", PROCESSES)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_leaves_a_checkpoint_and_the_state_stopped(checkpoints, tmp_path, number, processes):
    process = start(checkpoints / "qwen3_vl", tmp_path, processes=processes, epochs=1000, parallel=WEIGHTS)
    wait_for(tmp_path / "run/checkpoints/checkpoint-1")
    process.send_signal(number)
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 128 + number, stderr
    manifest = RunFolder(tmp_path / "run").manifest
    assert manifest["state"] == "stopped"
    assert damage(tmp_path / f"run/checkpoints/checkpoint-{manifest['stopped_at_step']}") is None


LIMITED = {"epochs": None, "steps": 8}


@pytest.mark.parametrize("processes", PROCESSES)
def test_run_whose_processes_are_killed_ends_bit_equal_to_one_that_never_was(checkpoints, tmp_path, processes):
    """The first, the last, and the command itself, each after one more checkpoint. With dropout."""
    options = ["--set", "adapter.dropout=0.2", "--set", "adapter.targets=[text-attention]"]
    settings = {"processes": processes, "parallel": BOTH, **LIMITED}
    (tmp_path / "whole").mkdir()
    whole = start(checkpoints / "qwen3_vl_moe", tmp_path / "whole", *options, **settings)
    _, stderr = whole.communicate(timeout=300)
    assert whole.returncode == 0, stderr
    process = start(checkpoints / "qwen3_vl_moe", tmp_path, *options, **settings)
    for step, victim in enumerate((0, processes - 1, None), 1):
        wait_for(tmp_path / f"run/checkpoints/checkpoint-{2 * step - 1}")
        ranks = processes_of(process.pid)
        os.kill(process.pid if victim is None else ranks[victim], signal.SIGKILL)
        _, stderr = process.communicate(timeout=300)
        assert process.returncode == (-signal.SIGKILL if victim is None else 128 + signal.SIGKILL), stderr
        ended(ranks.values())
        process = resumed(tmp_path / "run", processes)
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    assert len(history(tmp_path, "run", "loss")) == LIMITED["steps"]
    assert close(weights(tmp_path, "run/adapter"), weights(tmp_path, "whole/run/adapter"), 0.0)
    assert history(tmp_path, "run", "loss") == history(tmp_path / "whole", "run", "loss")


def processes_of(launcher: int) -> dict[int, int]:
    """The numbers of the processes that a command has started, by their ranks."""
    children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    numbers = {}
    for child in children:
        variables = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        numbers |= {int(value.removeprefix(b"RANK=")): int(child) for value in variables if value.startswith(b"RANK=")}
    return numbers


def ended(numbers: Iterable[int]) -> None:
    deadline = time.monotonic() + 60
    alive = set(numbers)
    while alive and time.monotonic() < deadline:
        alive = {number for number in alive if is_running(number)}
        time.sleep(0.05)
    assert not alive


def is_running(number: int) -> bool:
    """False for a process that has ended and is not waited for."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def resumed(run: Path, processes: int) -> subprocess.Popen:
    command = [sys.executable, "-m", "texlens", "train", "--resume", run, "--processes", str(processes), "--no-compare"]
    return subprocess.Popen(command, env=WITHOUT_GPU, stderr=subprocess.PIPE, text=True)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 300
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert path.exists()


@pytest.mark.parametrize("quantize", ["none", "fp8"])
@pytest.mark.parametrize("family", [*DENSE, *MIXTURES])
def test_layers_on_two_devices_read_what_one_reads(family, quantize, tmp_path, monkeypatch):
    """With an adapter on attention and experts."""
    save_wide(tmp_path / "base", family) if quantize == "fp8" else write_tiny_checkpoint(tmp_path / "base", family)
    adapter = save_adapter_of(tmp_path / "base", tmp_path / "adapter")
    whole = read_whole(tmp_path / "base", quantize, adapter)
    placed, moves, _ = read_placed(tmp_path / "base", monkeypatch, quantize, adapter)
    assert read_as_whole(whole, placed)
    assert whole != read_whole(tmp_path / "base", quantize)
    assert moves > 16
