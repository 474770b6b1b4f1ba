"""Training with a gradient scaler and reading in float16, as T4 and V100 need it, and the memory of a training."""

import json
import shutil

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

import texlens
from texlens.cli.training.train import show_result
from texlens.config.load import load_config
from texlens.core.run_folder import RunFolder
from texlens.inputs.build import read_split

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
STEPS = 12
SMALL = {"train.steps": STEPS, "train.logging.every_steps": 1, "train.optimizer.warmup_ratio": 0, "data.limit": 96}


def trained(folder, **changes) -> RunFolder:
    settings = {**SMALL, "output": str(folder), **changes}
    return RunFolder(texlens.train("nano_latex-ocr_lora", settings))


@pytest.fixture(scope="module")
def float16_run(tmp_path_factory) -> RunFolder:
    return trained(tmp_path_factory.mktemp("float16"), **{"model.dtype": "float16"})


def losses(run: RunFolder) -> list[float]:
    return [row["loss"] for row in run.history() if "loss" in row]


def test_the_scaler_scales_and_the_loss_falls_as_in_float32(float16_run, tmp_path):
    reference = trained(tmp_path, **{"model.dtype": "float32", "train.compute.backend": "plain"})
    assert losses(float16_run)[0] == pytest.approx(losses(reference)[0], rel=0.02)
    assert losses(float16_run)[-1] == pytest.approx(losses(reference)[-1], rel=0.1)
    assert losses(float16_run)[-1] < 0.8 * losses(float16_run)[0]
    (checkpoint,) = float16_run.checkpoints.glob("checkpoint-*")
    scaler = torch.load(checkpoint / "scaler.pt", weights_only=True)
    assert scaler["scale"] > 1, "losses are multiplied by it"
    assert scaler["_growth_tracker"] > 0, "steps without an overflow are counted"


def test_adapters_are_float32_and_finite(float16_run):
    tensors = load_file(float16_run.adapter / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}
    assert all(bool(tensor.isfinite().all()) for tensor in tensors.values())


def test_a_resumed_training_goes_on_with_its_scaler(float16_run, tmp_path):
    half = trained(tmp_path, **{"model.dtype": "float16", "train.checkpoints.every_steps": STEPS // 2})
    shutil.rmtree(half.checkpoints / f"checkpoint-{STEPS}")
    half.update(state="training")
    texlens.train(half.path, resume=True)
    assert [row["step"] for row in half.history() if "loss" in row] == list(range(1, STEPS + 1))
    assert losses(half) == pytest.approx(losses(float16_run), rel=0.02)
    scaler = torch.load(half.checkpoints / f"checkpoint-{STEPS}" / "scaler.pt", weights_only=True)
    assert scaler["_growth_tracker"] > STEPS // 2, "counted on from the first half"


def test_float16_reads_what_float32_reads(float16_run):
    rows = list(read_split(load_config("nano_latex-ocr_lora").data, "test")[:16])
    texts = {
        dtype: [prediction.text for prediction in texlens.load(float16_run.path, dtype=dtype).read(rows)]
        for dtype in ("float16", "float32")
    }
    assert sum(map(str.__eq__, texts["float16"], texts["float32"])) >= 15, texts


def test_memory_before_at_the_peak_and_its_share_are_of_this_gpu(float16_run, capsys):
    training = json.loads((float16_run.path / "run.json").read_text())["training"]
    memory = training["gpu_memory"]
    assert memory["total_gib"] == pytest.approx(torch.cuda.get_device_properties(0).total_memory / 2**30, abs=1e-3)
    assert 0 < memory["before_gib"] <= memory["peak_gib"] < memory["total_gib"]
    assert memory["training_gib"] == pytest.approx(memory["peak_gib"] - memory["before_gib"], abs=2e-3)
    show_result({"training": training}, None, float16_run, Console(width=200))
    printed = capsys.readouterr().out
    assert "GPU memory:" in printed
    assert f"({memory['peak_share']:.1%} of {memory['total_gib']:.1f} GiB)" in printed
