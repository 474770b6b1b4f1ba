"""DeepSpeed ZeRO-2 and ZeRO-3 by `accelerate launch` with the example configurations, in the plain backend on CPUs.

With DEEPSPEED=1 where it is installed (`make test-all`); its first start compiles an operation, for two minutes.
"""

import importlib.util
import json
import os
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
STEPS, LONGER = 2, 4
CONTINUED = ("--accept-changes", "--set", f"train.steps={LONGER}")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("tiny"), "qwen2_5_vl")


@pytest.fixture(scope="module")
def single(tiny, tmp_path_factory) -> Path:
    """Runs in one process, `lora` resumed."""
    folder = tmp_path_factory.mktemp("one")
    for kind in KINDS:
        texlens([sys.executable], train(tiny, folder, kind))
    texlens([sys.executable], ["--resume", folder / "lora", *CONTINUED])
    return folder


def train(tiny: Path, folder: Path, kind: str) -> list:
    values = {**BASE, "model": {"path": str(tiny)}, "output": str(folder), "name": kind, "adapter": KINDS[kind]}
    values["data"] = {**BASE["data"], "splits": {"train": "train[:12]", "validation": "train[12:16]"}}
    values["train"] = {
        **BASE["train"],
        "epochs": None,
        "steps": STEPS,
        "batch_size": 2,
        "gradient_accumulation": 2,
        "compute": {"backend": "plain"},
        "checkpoints": {"every_steps": STEPS},
        "validation": {"every_steps": STEPS},
        "optimizer": {"learning_rate": 1e-3, "schedule": "constant"},
    }
    (folder / f"{kind}.json").write_text(json.dumps(values))
    return [folder / f"{kind}.json"]


def texlens(python: list, arguments: list, expected: int = 0) -> str:
    command = [*python, "-m", "texlens", "train", *map(str, arguments), "--no-compare"]
    done = subprocess.run(command, env=WITHOUT_GPU, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == expected, done.stderr[-4000:]
    return done.stderr


def launcher(stage: int, precision: str = "no") -> list:
    config = ROOT / f"examples/deepspeed/zero{stage}.yaml"
    accelerate = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config)]
    return [*accelerate, "--num_processes", "2", "--mixed_precision", precision]


@pytest.mark.parametrize("stage", [2, 3])
def test_adapter_and_losses_are_those_of_one_process_also_after_resuming(tiny, single, tmp_path, stage):
    texlens(launcher(stage), train(tiny, tmp_path, "lora"))
    assert RunFolder(tmp_path / "lora").manifest["engine"]["name"] == "plain"
    texlens(launcher(stage), ["--resume", tmp_path / "lora", *CONTINUED])
    for key in ("loss", "eval_loss"):
        assert history(tmp_path, "lora", key) == pytest.approx(history(single, "lora", key), rel=1e-5)
    assert len(history(tmp_path, "lora", "loss")) == LONGER
    first, second = (load_file(folder / "lora/adapter/adapter_model.safetensors") for folder in (tmp_path, single))
    assert first.keys() == second.keys()
    assert close(first, second, 1e-6)


@pytest.mark.parametrize("stage", [2, 3])
def test_fully_trained_weights_are_saved_whole(tiny, single, tmp_path, stage):
    texlens(launcher(stage), train(tiny, tmp_path, "full"))
    assert history(tmp_path, "full", "loss") == pytest.approx(history(single, "full", "loss"), rel=1e-5)
    first, second = (load_file(folder / "full/adapter/model.safetensors") for folder in (tmp_path, single))
    assert {name: tensor.shape for name, tensor in first.items()} == {name: part.shape for name, part in second.items()}
    assert close(first, second, 1e-5)


def test_another_precision_than_that_of_the_base_is_one_line_with_the_remedy(tiny, tmp_path):
    lines = texlens(launcher(2, "bf16"), train(tiny, tmp_path, "lora"), expected=1).splitlines()
    errors = [line for line in lines if "mixed_precision is bf16, and the base is in float32" in line]
    assert len(errors) == 1
    assert errors[0].endswith("start with accelerate launch --mixed_precision no")
