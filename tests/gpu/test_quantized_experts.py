"""Quantized experts on a GPU: the kernels at full size, and packs of a mixture beside the same values in 16 bits."""

import importlib.util

import pytest
import torch
from torch import nn

from tests.gpu.test_pack_graphs import EXPERTS, adapted_on_gpu
from tests.unit.models.mixtures.quantized_stacks import KINDS, drawn_stack
from tests.unit.models.packed.packs import gradients, pack_of
from texlens.kernels.fp8.reference import dequantize_experts_reference as fp8_reference
from texlens.kernels.nf4.reference import dequantize_experts_reference as nf4_reference
from texlens.models.families.expert_stacks import STACKS, base_experts
from texlens.models.mixtures.experts import Fp8Stack, Nf4Stack
from texlens.models.packed.forward import packed_forward

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="not installed: triton"),
]
SHAPES = [(8, 1536, 2048), (8, 2048, 768), (3, 72, 128)]


def reference(stack, out, experts=None):
    if isinstance(stack, Fp8Stack):
        return fp8_reference(stack.codes, stack.scale, out, experts)
    return nf4_reference(stack._weight(out.dtype), out, experts)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_kernels_write_what_the_reference_writes_and_nothing_else(kind, shape):
    stack = drawn_stack(kind, shape).to("cuda")
    for experts in (None, torch.tensor([2, 0, 0, 1], device="cuda")):
        count = shape[0] if experts is None else len(experts)
        out = torch.full((count, shape[1] + 8, shape[2] + 24), 9.0, dtype=torch.bfloat16, device="cuda")
        expected = out.clone()
        stack.write(out[:, : shape[1], : shape[2]], experts)
        reference(stack, expected[:, : shape[1], : shape[2]], experts)
        torch.testing.assert_close(out, expected, rtol=2**-8, atol=0)


def test_a_stack_of_more_bytes_than_32_bits_can_count_is_written():
    codes = torch.ones(1100, 2048, 2048, device="cuda", dtype=torch.uint8).mul_(0x38).view(torch.float8_e4m3fn)
    stack = Fp8Stack(codes.shape, codes=codes, scale=torch.full(codes.shape[:2], 3.0, device="cuda"))
    out = torch.empty(codes.shape, dtype=torch.bfloat16, device="cuda")
    stack.write(out)
    assert bool((out[0] == 3).all())
    assert bool((out[-1] == 3).all())


@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is None, reason="not installed: bitsandbytes")
@pytest.mark.parametrize("double", [True, False])
def test_nf4_has_the_values_of_bitsandbytes(double):
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    torch.manual_seed(0)
    weights = torch.randn(16, 1536, 2048, dtype=torch.bfloat16, device="cuda")
    packed, state = quantize_4bit(weights.flatten(0, 1), blocksize=64, compress_statistics=double, quant_type="nf4")
    stack = Nf4Stack.of(weights, double=double)
    out = torch.empty_like(weights)
    stack.write(out)
    assert torch.equal(out, dequantize_4bit(packed, state).view(weights.shape))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("adapted", [{}, {"target_parameters": EXPERTS}])
@pytest.mark.parametrize("family", ["qwen3_vl_moe", "qwen3_5_moe"])
def test_packs_are_near_those_of_the_same_values_in_16_bits(family, kind, adapted):
    (quantized, processor), (plain, _) = (adapted_on_gpu(family, stacks=stacks, **adapted) for stacks in (kind, None))
    model, stock = (trained.base_model.model for trained in (quantized, plain))
    for layer, other in zip(*(part.model.language_model.layers for part in (stock, model)), strict=True):
        for name in STACKS:
            stack: nn.Parameter = getattr(base_experts(layer.mlp), name)
            base_experts(other.mlp).stacks[name].write(stack.data)
    laid = pack_of(model, processor, token_multiple=128, patch_multiple=128)
    pack = {name: part.cuda() if isinstance(part, torch.Tensor) else part for name, part in laid.items()}
    expected = gradients(packed_forward(stock, processor.geometry, backend="triton").loss(pack), plain)
    for recompute in ("none", "full"):
        forward = packed_forward(model, processor.geometry, recompute=recompute, backend="triton")
        assert forward.text.unfused == {}
        results = gradients(forward.loss(pack), quantized)
        assert results.keys() == expected.keys()
        ours, theirs = (torch.cat([grads[name].flatten() for name in expected]) for grads in (results, expected))
        assert (ours - theirs).norm() < 0.02 * theirs.norm()
