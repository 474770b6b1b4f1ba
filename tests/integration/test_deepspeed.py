"""DeepSpeed ZeRO-2 and ZeRO-3 by `accelerate launch` with the example configurations, in the plain backend on CPUs.

With DEEPSPEED=1 where it is installed (`make test-all`); its first start compiles an operation, for two minutes.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.fixtures.tiny_models import write_tiny_checkpoint
from tests.integration.distributed_runs import BASE
from tests.integration.test_distributed import ROOT, WITHOUT_GPU, close, history
from texlens.core.run_folder import RunFolder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("DEEPSPEED" not in os.environ, reason="launches DeepSpeed: set DEEPSPEED=1"),
    pytest.mark.skipif(importlib.util.find_spec("deepspeed") is None, reason="not installed: deepspeed"),
]
KINDS = {"lora": BASE["adapter"], "full": {"kind": "full"}}
STEPS = 4


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("tiny"), "qwen2_5_vl")


@pytest.fixture(scope="module")
def single(tiny, tmp_path_factory) -> Path:
    """Runs in one process."""
    folder = tmp_path_factory.mktemp("one")
    for kind in KINDS:
        texlens([sys.executable], train(tiny, folder, kind))
    return folder


def train(tiny: Path, folder: Path, kind: str) -> list:
    values = {**BASE, "model": {"path": str(tiny)}, "output": str(folder), "name": kind, "adapter": KINDS[kind]}
    values["data"] = {**BASE["data"], "splits": {"train": "train[:12]", "validation": "train[12:15]"}}
    values["train"] = {
        **BASE["train"],
        "epochs": None,
        "steps": STEPS,
        "batch_size": 2,
        "gradient_accumulation": 2,
        "compute": {"backend": "plain"},
        "checkpoints": {"every_steps": 2},
        "validation": {"every_steps": 2},
        "optimizer": {"learning_rate": 1e-3},
    }
    (folder / f"{kind}.json").write_text(json.dumps(values))
    return [folder / f"{kind}.json"]


def texlens(python: list, arguments: list, expected: int = 0) -> str:
    command = [*python, "-m", "texlens", "train", *map(str, arguments), "--no-compare"]
    done = subprocess.run(command, env=WITHOUT_GPU, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == expected, done.stderr[-4000:]
    return done.stderr


@pytest.fixture(scope="module")
def everything_divided(tmp_path_factory) -> Path:
    """ZeRO-3 that divides small matrices too: by default those of less than 100,000 values are whole."""
    settings = {"stage": 3, "stage3_param_persistence_threshold": 0}
    return with_settings_file(tmp_path_factory.mktemp("configuration"), settings)


def with_settings_file(folder: Path, zero: dict) -> Path:
    """A configuration of accelerate that names a file of DeepSpeed's own settings."""
    automatic = ("train_micro_batch_size_per_gpu", "gradient_accumulation_steps", "gradient_clipping")
    settings = {**dict.fromkeys(automatic, "auto"), "zero_optimization": zero}
    (folder / "settings.json").write_text(json.dumps(settings))
    plugin = {"deepspeed_config_file": str(folder / "settings.json"), "zero3_init_flag": False}
    config = {"distributed_type": "DEEPSPEED", "deepspeed_config": plugin, "num_machines": 1, "machine_rank": 0}
    (folder / "config.json").write_text(json.dumps(config | {"compute_environment": "LOCAL_MACHINE"}))
    return folder / "config.json"


def launcher(config: Path, *options: str) -> list:
    accelerate = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config)]
    return [*accelerate, "--num_processes", "2", *options]


@pytest.fixture(params=["zero2", "zero3", "everything divided"])
def launched(request, everything_divided) -> list:
    if request.param == "everything divided":
        return launcher(everything_divided)
    return launcher(ROOT / f"examples/deepspeed/{request.param}.yaml", "--mixed_precision", "no")


def test_adapter_and_losses_are_those_of_one_process_also_after_resuming(tiny, single, tmp_path, launched):
    texlens(launched, train(tiny, tmp_path, "lora"))
    assert RunFolder(tmp_path / "lora").manifest["engine"]["name"] == "plain"
    assert_equal(tmp_path, single, "lora/checkpoints/checkpoint-2/adapter_model.safetensors", 1e-6)
    assert_equal(tmp_path, single, "lora/adapter/adapter_model.safetensors", 1e-6)
    shutil.rmtree(tmp_path / "lora/checkpoints/checkpoint-4")
    shutil.rmtree(tmp_path / "lora/adapter")
    texlens(launched, ["--resume", tmp_path / "lora"])
    for key in ("loss", "eval_loss"):
        assert history(tmp_path, "lora", key) == pytest.approx(history(single, "lora", key), rel=1e-5)
    assert len(history(tmp_path, "lora", "loss")) == STEPS
    assert_equal(tmp_path, single, "lora/adapter/adapter_model.safetensors", 1e-6)
    changes = ["--accept-changes", "--set", "train.steps=6"]
    shutil.rmtree(tmp_path / "lora/checkpoints/checkpoint-4")
    assert "can't go on with other settings under DeepSpeed" in texlens(
        launched, ["--resume", tmp_path / "lora", *changes], expected=1
    )


def test_fully_trained_weights_are_saved_whole(tiny, single, tmp_path, launched):
    texlens(launched, train(tiny, tmp_path, "full"))
    assert history(tmp_path, "full", "loss") == pytest.approx(history(single, "full", "loss"), rel=1e-5)
    for folder in ("checkpoints/checkpoint-2", "adapter"):
        assert_equal(tmp_path, single, f"full/{folder}/model.safetensors", 1e-5)


def assert_equal(folder: Path, other: Path, path: str, tolerance: float) -> None:
    first, second = load_file(folder / path), load_file(other / path)
    assert {name: tensor.shape for name, tensor in first.items()} == {name: part.shape for name, part in second.items()}
    assert close(first, second, tolerance)


def test_another_precision_than_that_of_the_base_is_one_line_with_the_remedy(tiny, tmp_path):
    lines = texlens(
        launcher(ROOT / "examples/deepspeed/zero2.yaml"), train(tiny, tmp_path, "lora"), expected=1
    ).splitlines()
    errors = [line for line in lines if "mixed_precision is bf16, and the base is in float32" in line]
    assert len(errors) == 1
    assert errors[0].endswith("start with accelerate launch --mixed_precision no")


def test_rows_are_read_while_training_where_a_settings_file_says_stage_2(tiny, single, tmp_path):
    reads = ["--set", "train.validation.generation_rows=2", "--set", "train.validation.metrics=[edit_similarity]"]
    config = with_settings_file(tmp_path, {"stage": 2})
    texlens(launcher(config), [*train(tiny, tmp_path, "lora"), *reads])
    assert history(tmp_path, "lora", "loss") == pytest.approx(history(single, "lora", "loss"), rel=1e-5)
    assert len(history(tmp_path, "lora", "eval_edit_similarity")) == STEPS // 2


def test_fsdp_of_accelerate_is_one_line_with_what_to_use(tiny, tmp_path):
    environment = {**WITHOUT_GPU, "ACCELERATE_USE_FSDP": "true"}
    command = [sys.executable, "-m", "texlens", "train", *map(str, train(tiny, tmp_path, "lora")), "--no-compare"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2
    assert done.stderr.startswith("texlens: FSDP of accelerate launch can't be used; ")
    assert len(done.stderr.splitlines()) == 1
