"""Two processes train together, on CPUs: they give what one gives, and end together."""

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
from tests.integration import several_processes
from tests.integration.several_processes import BASE, run_all
from texlens.core.run_folder import RunFolder

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
WITHOUT_GPU = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
LAUNCHER = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("tiny"), "qwen2_5_vl")


@pytest.fixture(scope="module")
def one(tiny, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("one")
    before = os.environ.get("TEXLENS_CACHE")
    run_all(tiny, folder)
    os.environ.pop("TEXLENS_CACHE") if before is None else os.environ.update(TEXLENS_CACHE=before)
    return folder


@pytest.fixture(scope="module")
def two(tiny, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    script = Path(several_processes.__file__)
    environment = {**WITHOUT_GPU, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [*LAUNCHER, script, tiny, folder], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


def told(folder: Path, case: str) -> list[dict]:
    return [json.loads(path.read_text())[case] for path in sorted(folder.glob("[0-9].json"))]


def history(folder: Path, case: str, key: str) -> list[float]:
    return [row[key] for row in RunFolder(folder / case).history() if key in row]


def weights(folder: Path, place: str) -> dict:
    return load_file(folder / place / "adapter_model.safetensors")


def same(first: dict, second: dict, within: float) -> bool:
    return all((tensor - second[name]).abs().max() <= within for name, tensor in first.items())


def test_two_processes_give_the_losses_norms_and_weights_of_one(one, two):
    for key in ("loss", "grad_norm", "eval_loss"):
        assert history(two, "whole", key) == pytest.approx(history(one, "whole", key), rel=1e-5)
    assert len(history(two, "whole", "loss")) == 6
    place = "whole/checkpoints/checkpoint-3"
    assert same(weights(two, place), weights(one, place), 1e-6)
    assert history(two, "whole", "eval_exact_match") == history(one, "whole", "eval_exact_match")


def test_each_row_is_trained_on_once_an_epoch_by_either_process(one, two):
    whole = [[row for pack in step for row in pack] for step in told(one, "whole")[0]["seen"]]
    mine, others = (process["seen"] for process in told(two, "whole"))
    shared = [[row for pack in (*first, *second) for row in pack] for first, second in zip(mine, others, strict=True)]
    assert [sorted(step) for step in shared] == [sorted(step) for step in whole]
    epoch = [row for step in shared[:3] for row in step]
    assert len(epoch) == len(set(epoch)) == 10
    assert sum(map(len, shared)) == 2 * 10
    packs = [(len(first), len(second)) for first, second in zip(mine, others, strict=True)]
    assert {(3, 2), (1, 0)} <= set(packs)
    rows = [sum(len(pack) for step in part for pack in step) for part in (mine, others)]
    assert RunFolder(two / "whole").manifest["training"]["rows_of_processes"] == rows


def test_a_row_that_can_not_be_decoded_is_refused_by_both_and_told_once(one, two):
    refused = told(one, "whole")[0]["refused"]
    assert [process["refused"] for process in told(two, "whole")] == [refused, refused]
    assert len(refused) == 1
    assert RunFolder(two / "whole").manifest["training"]["rows_rejected_while_training"] == refused


def test_a_run_stopped_and_resumed_ends_as_one_never_stopped(two):
    assert same(weights(two, "stopped/adapter"), weights(two, "through/adapter"), 0.0)
    assert history(two, "stopped", "loss") == history(two, "through", "loss")
    names = {path.name for path in (two / "stopped/checkpoints/checkpoint-4").iterdir()}
    assert {"random-0.safetensors", "random-1.safetensors"} <= names


def test_a_loss_that_is_no_number_stops_both_and_names_the_rows(two):
    first, second = told(two, "not_a_number")
    assert first["raised"] == second["raised"]
    rows = ", ".join(second["packs"][1])
    assert first["raised"].startswith(f"step 2: the loss is no number in the pack of rows {rows}; the step was not")
    assert [path.name for path in (two / "nan/checkpoints").glob("checkpoint-*")] == ["checkpoint-1"]


def test_features_kept_by_two_processes_are_those_of_one(one, two):
    assert history(two, "kept", "loss") == pytest.approx(history(one, "kept", "loss"), rel=1e-5)
    kept = [sorted(path.name for path in (folder / "cache").rglob("*.safetensors")) for folder in (one, two)]
    assert kept[0] == kept[1] != []
    assert not list((two / "cache").rglob("*.partial"))


def test_the_plain_engine_takes_the_same_rows_in_two_processes(one, two):
    assert history(two, "plain", "loss") == pytest.approx(history(one, "plain", "loss"), rel=1e-5)
    assert history(two, "plain", "grad_norm") == pytest.approx(history(one, "plain", "grad_norm"), rel=1e-4)


def test_what_was_done_stands_in_the_run(two):
    manifest = RunFolder(two / "whole").manifest
    assert (manifest["engine"]["name"], manifest["engine"]["processes"]) == ("packed", 2)
    assert manifest["state"] == "trained"


def start(tiny: Path, folder: Path, *options: str, **train) -> subprocess.Popen:
    values = {**BASE, "model": {"path": str(tiny)}, "output": str(folder), "name": "run"}
    values["train"] = {**BASE["train"], "checkpoints": {"every_steps": 1}, **train}
    (folder / "run.yaml").write_text(json.dumps(values))
    command = [sys.executable, "-m", "texlens", "train", folder / "run.yaml", "--processes", "2", "--no-compare"]
    return subprocess.Popen([*command, *options], env=WITHOUT_GPU, stderr=subprocess.PIPE, text=True)


def test_what_both_refuse_is_told_once(tiny, tmp_path):
    process = start(tiny, tmp_path, "--set", "train.batchsize=4")
    _, said = process.communicate(timeout=300)
    assert process.returncode == 2
    assert len(said.splitlines()) == 1
    assert "unknown key 'train.batchsize'" in said


def test_a_signal_to_the_launcher_ends_both_with_a_line(tiny, tmp_path):
    process = start(tiny, tmp_path, epochs=1000)
    until = time.monotonic() + 300
    while not (tmp_path / "run/checkpoints/checkpoint-1").exists() and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 128 + signal.SIGTERM
    assert said.count("texlens: ") == 1
    assert said.splitlines()[-1].startswith("texlens: stopped; `texlens train --resume RUN` goes on")
