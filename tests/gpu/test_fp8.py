"""Bases in fp8 on a card that has it: the layers beside exact ones and beside their plain form, and a run."""

import os

import pytest
import torch
from rich.console import Console
from torch import nn

from tests.fixtures.tiny_models import write_tiny_checkpoint
from texlens.config.load import build_config
from texlens.config.quantise import QuantiseSettings
from texlens.core.run_folder import RunFolder
from texlens.kernels.fp8 import why_not_fp8
from texlens.models.fp8 import coded_together, fp8_layers, quantise_in_fp8
from texlens.models.load import load_model, random_model
from texlens.models.shipped import shipped_config
from texlens.train.run import prepare, train

REASON = why_not_fp8(torch.device("cuda")) if torch.cuda.is_available() else "needs a CUDA device"
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(REASON is not None, reason=str(REASON))]


def far(left: torch.Tensor, right: torch.Tensor) -> float:
    return ((left.float() - right.float()).norm() / right.float().norm()).item()


@pytest.mark.parametrize("tokens", [1, 7, 256])
@pytest.mark.parametrize("bias", [True, False])
def test_layers_of_one_input_are_near_the_exact_ones_and_equal_their_plain_form(tokens, bias):
    torch.manual_seed(0)
    layers = [nn.Linear(256, size, bias=bias, device="cuda", dtype=torch.bfloat16) for size in (512, 128)]
    x = torch.randn(1, tokens, 256, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    slopes = [torch.randn(1, tokens, size, device="cuda", dtype=torch.bfloat16) for size in (512, 128)]
    for layer, coded, slope in zip(layers, coded_together(layers), slopes, strict=True):
        y = coded(x)
        (dx,) = torch.autograd.grad(y, x, slope)
        exact = layer(x)
        (dx_exact,) = torch.autograd.grad(exact, x, slope)
        assert y.dtype == dx.dtype == torch.bfloat16
        assert far(y, exact) < 0.06
        assert far(dx, dx_exact) < 0.08
        plain = coded.cpu()(x.detach().cpu())
        assert far(y, plain.cuda()) < 0.02


def test_changing_a_model_takes_the_memory_of_its_16_bits_and_a_layer():
    config = shipped_config("Qwen3-VL-4B-Instruct")
    assert config is not None
    config["text_config"] = {**config["text_config"], "num_hidden_layers": 4}
    with torch.device("cuda"):
        model = random_model(config, dtype=torch.bfloat16)
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    assert quantise_in_fp8(model) == ()
    assert torch.cuda.max_memory_allocated() - before < 0.5 * 2**30
    assert abs(torch.cuda.memory_allocated() - before) < 0.02 * 2**30


def test_it_reads_and_trains_in_both_engines_with_losses_near_those_in_16_bits(tmp_path):
    folder = write_tiny_checkpoint(tmp_path / "base", "qwen3_vl")
    model = load_model(folder, quantise=QuantiseSettings(quantise="fp8"))
    assert len(fp8_layers(model)) == 14
    with torch.no_grad():
        assert torch.isfinite(model(input_ids=torch.arange(20, device="cuda")[None]).logits).all()
    quiet = Console(file=open(os.devnull, "w"))  # noqa: SIM115 - closed with the process
    found = {}
    for quantise, engine in (("none", "plain"), ("fp8", "plain"), ("fp8", "packed")):
        config = build_config(
            {
                "output": str(tmp_path),
                "model": {"path": str(folder)},
                "data": {"path": "demo", "limit": 16, "splits": {"validation": None}},
                "base": {"quantise": quantise},
                "train": {"steps": 3, "batch_size": 4, "engine": engine, "watch": {"log_every_steps": 1}},
            }
        )
        run = RunFolder.create(tmp_path, f"{quantise}-{engine}")
        train(config, prepare(config, quiet), run, console=quiet)
        found[quantise, engine] = [row["loss"] for row in run.history() if "loss" in row]
    assert found["fp8", "plain"] == pytest.approx(found["none", "plain"], rel=0.05)
    assert found["fp8", "packed"] == pytest.approx(found["fp8", "plain"], rel=0.03)
