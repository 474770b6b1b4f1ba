"""Bases in fp8 on a GPU that has it: the layers beside exact ones and beside their plain form, and a run."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.fixtures.tiny_models import tiny_processor, write_tiny_checkpoint
from tests.fixtures.training import run_training
from texlens.config.load import build_config
from texlens.config.quantize import QuantizeSettings
from texlens.core.run_folder import RunFolder
from texlens.data.geometry import ImageGeometry
from texlens.kernels.fp8.format import fp8_unsupported_reason
from texlens.kernels.vision_fp8 import api, reference
from texlens.kernels.vision_fp8.format import GELUS
from texlens.models.bundled import bundled_config
from texlens.models.families import family_of
from texlens.models.fp8 import fp8_layers, quantize_in_fp8, quantize_together
from texlens.models.load import load_model, random_model
from texlens.models.packed.forward import pack_spec, packed_forward
from texlens.training.backends.compile_check import small_pack

REASON = fp8_unsupported_reason(torch.device("cuda")) if torch.cuda.is_available() else "needs a CUDA device"
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(REASON is not None, reason=str(REASON))]


def far(left: torch.Tensor, right: torch.Tensor) -> float:
    return ((left.float() - right.float()).norm() / right.float().norm()).item()


@pytest.mark.parametrize("tokens", [1, 7, 256])
@pytest.mark.parametrize("bias", [True, False])
def test_layers_of_one_input_are_near_the_exact_ones_and_equal_their_reference(tokens, bias):
    torch.manual_seed(0)
    layers = [nn.Linear(256, size, bias=bias, device="cuda", dtype=torch.bfloat16) for size in (512, 128)]
    x = torch.randn(1, tokens, 256, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    grads = [torch.randn(1, tokens, size, device="cuda", dtype=torch.bfloat16) for size in (512, 128)]
    for layer, coded, grad in zip(layers, quantize_together(layers), grads, strict=True):
        y = coded(x)
        (dx,) = torch.autograd.grad(y, x, grad)
        exact = layer(x)
        (dx_exact,) = torch.autograd.grad(exact, x, grad)
        assert y.dtype == dx.dtype == torch.bfloat16
        assert far(y, exact) < 0.06
        assert far(dx, dx_exact) < 0.08
        reference = coded.cpu()(x.detach().cpu())
        assert far(y, reference.cuda()) < 0.02


def test_changing_a_model_takes_the_memory_of_its_16_bits_and_a_layer():
    config = bundled_config("Qwen3-VL-4B-Instruct")
    assert config is not None
    config["text_config"] = {**config["text_config"], "num_hidden_layers": 4}
    with torch.device("cuda"):
        model = random_model(config, dtype=torch.bfloat16)
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    assert quantize_in_fp8(model) == ()
    assert torch.cuda.max_memory_allocated() - before < 0.5 * 2**30
    assert abs(torch.cuda.memory_allocated() - before) < 0.02 * 2**30


def test_it_reads_and_trains_in_both_engines_with_losses_near_those_in_16_bits(tmp_path):
    folder = write_tiny_checkpoint(tmp_path / "base", "qwen3_vl")
    model = load_model(folder, quantize=QuantizeSettings(quantize="fp8"))
    assert len(fp8_layers(model)) == 14
    with torch.no_grad():
        assert torch.isfinite(model(input_ids=torch.arange(20, device="cuda")[None]).logits).all()
    results = {}
    for quantize, engine in (("none", "plain"), ("fp8", "plain"), ("fp8", "packed")):
        config = build_config(
            {
                "output": str(tmp_path),
                "model": {"path": str(folder)},
                "data": {"path": "demo", "limit": 16, "splits": {"validation": None}},
                "base": {"quantize": quantize},
                "train": {"steps": 3, "batch_size": 4, "compute": {"backend": engine}, "logging": {"every_steps": 1}},
            }
        )
        run = RunFolder.create(tmp_path, f"{quantize}-{engine}")
        run_training(config, run)
        results[quantize, engine] = [row["loss"] for row in run.history() if "loss" in row]
    assert results["fp8", "plain"] == pytest.approx(results["none", "plain"], rel=0.05)
    assert results["fp8", "packed"] == pytest.approx(results["fp8", "plain"], rel=0.03)


TOWERS = ("Qwen2-VL-2B-Instruct", "Qwen2.5-VL-3B-Instruct", "Qwen3-VL-4B-Instruct", "Qwen3-VL-8B-Instruct")


def tower_of(name: str, device: str, dtype: torch.dtype):
    """Two blocks of a family's tower with random weights over a language model of one layer, and a pack for it."""
    config = bundled_config(name)
    assert config is not None
    text = {"num_hidden_layers": 1, "vocab_size": 1024, "pad_token_id": None}
    config = {**config, **text, "text_config": {**config.get("text_config", {}), **text}}
    cut = {"fullatt_block_indexes": [1], "deepstack_visual_indexes": [0]}
    vision = config["vision_config"]
    config["vision_config"] = {**vision, "depth": 2, **{key: cut[key] for key in cut if key in vision}}
    with torch.device(device):
        model = random_model(config, dtype=dtype)
    model.requires_grad_(False)
    family = family_of(config)
    geometry = ImageGeometry(family.patch_size, mean=family.mean, std=family.std)
    processor = replace(tiny_processor(family.model_type), geometry=geometry, image_token_id=5)
    layout = pack_spec(model.config, processor, padded=True)
    return model, geometry, small_pack(geometry, layout, torch.device(device))


def check_tower(name: str, device: str, dtype: torch.dtype) -> None:
    model, geometry, pack = tower_of(name, device, dtype)
    features, deep = packed_forward(model, geometry).vision(pack)
    exact = features, *deep
    unquantized = quantize_in_fp8(model, vision=True)
    assert len(unquantized) == (6 if name.startswith("Qwen2.5") else 0)
    vision = packed_forward(model, geometry, backend="triton" if device == "cuda" else "reference").vision
    vision(pack)
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
    try:
        features, deep = vision(pack)
    finally:
        if device == "cuda":
            torch.cuda.set_sync_debug_mode("default")
    for results, right in zip((features, *deep), exact, strict=True):
        assert 0.002 < far(results, right) < 0.15


@pytest.mark.parametrize("name", TOWERS)
def test_a_tower_in_fp8_is_near_one_in_16_bits_and_never_waits(name):
    check_tower(name, "cuda", torch.bfloat16)


@pytest.mark.parametrize(("width", "mlp_width"), [(1024, 4096), (1152, 4304), (1280, 5120)])
def test_a_blocks_kernels_equal_their_reference(width, mlp_width):
    torch.manual_seed(0)
    x, y = (torch.randn(300, width, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    weight, bias = (torch.randn(width, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    for by in (bias, None):
        expected, right = reference.norm_quantize_reference(x, y, weight, by, 1e-6)
        total, (codes, scale) = api.norm_quantize(x, y.clone(), weight, by, 1e-6)
        assert torch.equal(total, expected)
        assert far(codes.float() * scale, right[0].float() * right[1]) < 0.01
    act = torch.randn(300, mlp_width, device="cuda", dtype=torch.bfloat16) * 3
    for gelu in GELUS.values():
        (codes, scale), right = api.gelu_quantize(act, gelu), reference.gelu_quantize_reference(act, gelu)
        assert far(codes.float() * scale, right[0].float() * right[1]) < 0.01


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
def test_training_over_a_tower_in_fp8_agrees_between_the_engines(family, tmp_path):
    folder = write_tiny_checkpoint(tmp_path / "base", family)
    results = {}
    for engine in ("plain", "packed"):
        config = build_config(
            {
                "output": str(tmp_path),
                "model": {"path": str(folder)},
                "data": {"path": "demo", "limit": 16, "splits": {"validation": None}},
                "base": {"quantize": "fp8", "quantize_vision": True},
                "train": {"steps": 3, "batch_size": 4, "compute": {"backend": engine}, "logging": {"every_steps": 1}},
            }
        )
        run = RunFolder.create(tmp_path, engine)
        run_training(config, run)
        results[engine] = [row["loss"] for row in run.history() if "loss" in row]
    assert results["packed"] == pytest.approx(results["plain"], rel=0.03)
