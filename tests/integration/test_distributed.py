"""Two processes train together on CPUs: same results as a single process, and they end together."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.fixtures.tiny_models import write_tiny_checkpoint
from tests.integration import distributed_runs
from tests.integration.distributed_runs import BASE, run_all
from texlens.core.run_folder import RunFolder
from texlens.training.checkpoints.folder import damage

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
WITHOUT_GPU = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
LAUNCHER = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("tiny"), "qwen2_5_vl")


@pytest.fixture(scope="module")
def single(tiny, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("one")
    before = os.environ.get("TEXLENS_CACHE")
    run_all(tiny, folder)
    os.environ.pop("TEXLENS_CACHE") if before is None else os.environ.update(TEXLENS_CACHE=before)
    return folder


@pytest.fixture(scope="module")
def two(tiny, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    script = Path(distributed_runs.__file__)
    environment = {**WITHOUT_GPU, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [*LAUNCHER, script, tiny, folder], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


def observations(folder: Path, case: str) -> list[dict]:
    return [json.loads(path.read_text())[case] for path in sorted(folder.glob("[0-9].json"))]


def history(folder: Path, case: str, key: str) -> list[float]:
    return [row[key] for row in RunFolder(folder / case).history() if key in row]


def weights(folder: Path, name: str) -> dict:
    return load_file(folder / name / "adapter_model.safetensors")


def close(first: dict, second: dict, tolerance: float) -> bool:
    return all((tensor - second[name]).abs().max() <= tolerance for name, tensor in first.items())


def test_two_processes_give_the_losses_norms_and_weights_of_a_single_one(single, two):
    for key in ("loss", "grad_norm", "eval_loss"):
        assert history(two, "complete", key) == pytest.approx(history(single, "complete", key), rel=1e-5)
    assert len(history(two, "complete", "loss")) == 6
    checkpoint = "complete/checkpoints/checkpoint-3"
    assert close(weights(two, checkpoint), weights(single, checkpoint), 1e-6)
    assert history(two, "complete", "eval_exact_match") == history(single, "complete", "eval_exact_match")


def test_each_row_is_trained_on_once_per_epoch_by_one_of_the_processes(single, two):
    expected = [[row for pack in step for row in pack] for step in observations(single, "complete")[0]["steps"]]
    first_rank, second_rank = (process["steps"] for process in observations(two, "complete"))
    shared = [
        [row for pack in (*first, *second) for row in pack]
        for first, second in zip(first_rank, second_rank, strict=True)
    ]
    assert [sorted(step) for step in shared] == [sorted(step) for step in expected]
    epoch = [row for step in shared[:3] for row in step]
    assert len(epoch) == len(set(epoch)) == 10
    assert sum(map(len, shared)) == 2 * 10
    packs = [(len(first), len(second)) for first, second in zip(first_rank, second_rank, strict=True)]
    assert {(3, 2), (1, 0)} <= set(packs)
    rows = [sum(len(pack) for step in part for pack in step) for part in (first_rank, second_rank)]
    assert RunFolder(two / "complete").manifest["training"]["rows_of_processes"] == rows


def test_undecodable_row_is_rejected_by_both_and_reported_once(single, two):
    rejected = observations(single, "complete")[0]["rejected"]
    assert [process["rejected"] for process in observations(two, "complete")] == [rejected, rejected]
    assert len(rejected) == 1
    assert RunFolder(two / "complete").manifest["training"]["rows_rejected_while_training"] == rejected


def test_stopped_and_resumed_run_ends_as_an_uninterrupted_one(two):
    assert close(weights(two, "stopped/adapter"), weights(two, "uninterrupted/adapter"), 0.0)
    assert history(two, "stopped", "loss") == history(two, "uninterrupted", "loss")
    names = {path.name for path in (two / "stopped/checkpoints/checkpoint-4").iterdir()}
    assert {"random-0.safetensors", "random-1.safetensors"} <= names


def test_nan_loss_stops_both_and_names_the_rows(two):
    first, second = observations(two, "nan")
    assert first["raised"] == second["raised"]
    rows = ", ".join(second["packs"][1])
    assert first["raised"].startswith(f"step 2: the loss is NaN or Inf in the pack of rows {rows}; the step was not")
    assert [path.name for path in (two / "nan/checkpoints").glob("checkpoint-*")] == ["checkpoint-1"]


def test_features_cached_by_two_processes_are_those_of_a_single_one(single, two):
    assert history(two, "cached", "loss") == pytest.approx(history(single, "cached", "loss"), rel=1e-5)
    cached = [sorted(path.name for path in (folder / "cache").rglob("*.safetensors")) for folder in (single, two)]
    assert cached[0] == cached[1] != []
    assert not list((two / "cache").rglob("*.partial"))


def test_plain_backend_takes_the_same_rows_in_two_processes(single, two):
    assert history(two, "plain", "loss") == pytest.approx(history(single, "plain", "loss"), rel=1e-5)
    assert history(two, "plain", "grad_norm") == pytest.approx(history(single, "plain", "grad_norm"), rel=1e-4)


@pytest.mark.parametrize("name", ["sharded", "experts"])
def test_divided_weights_give_the_results_of_whole_ones(single, two, name):
    for key in ("loss", "grad_norm"):
        assert history(two, name, key) == pytest.approx(history(single, name, key), rel=1e-5)
    assert len(history(two, name, "loss")) == 3
    assert close(weights(two, f"{name}/adapter"), weights(single, f"{name}/adapter"), 1e-6)
    division = {"weights": "shard" if name == "sharded" else "replicate"}
    division["experts"] = "shard" if name == "experts" else "replicate"
    assert RunFolder(two / name).manifest["engine"]["parallel"] == division


def test_number_of_processes_is_recorded(two):
    manifest = RunFolder(two / "complete").manifest
    assert (manifest["engine"]["name"], manifest["engine"]["processes"]) == ("packed", 2)
    assert manifest["state"] == "trained"


def start(tiny: Path, folder: Path, *options: str, processes: int = 2, **train) -> subprocess.Popen:
    values = {**BASE, "model": {"path": str(tiny)}, "output": str(folder), "name": "run"}
    values["train"] = {**BASE["train"], "checkpoints": {"every_steps": 1}, **train}
    (folder / "run.yaml").write_text(json.dumps(values))
    started = [folder / "run.yaml", "--processes", str(processes), "--no-compare"]
    command = [sys.executable, "-m", "texlens", "train", *started]
    return subprocess.Popen(
        [*command, *options], env=WITHOUT_GPU, stderr=subprocess.PIPE, text=True, preexec_fn=take_ctrl_c
    )


def take_ctrl_c() -> None:
    """A shell that runs the tests in the background lets its children ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_error_of_both_processes_is_reported_once(tiny, tmp_path):
    process = start(tiny, tmp_path, "--set", "train.batchsize=4")
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 2
    assert len(stderr.splitlines()) == 1
    assert "unknown key 'train.batchsize'" in stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_to_the_launcher_leaves_a_checkpoint_and_the_state_stopped(tiny, tmp_path, number):
    process = start(tiny, tmp_path, epochs=1000)
    deadline = time.monotonic() + 300
    while not (tmp_path / "run/checkpoints/checkpoint-1").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 128 + number, stderr
    manifest = RunFolder(tmp_path / "run").manifest
    assert manifest["state"] == "stopped"
    step = manifest["stopped_at_step"]
    assert damage(tmp_path / f"run/checkpoints/checkpoint-{step}") is None
    assert stderr.count("with a checkpoint; continue with: texlens train --resume") == 1
