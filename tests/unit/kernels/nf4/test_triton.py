"""NF4 weights dequantized by hand, by bitsandbytes, and by Triton (on a GPU, or with TRITON_INTERPRET=1)."""

import importlib
import importlib.util
from dataclasses import replace

import pytest
import torch

from tests.unit.kernels.nf4.weights import on_device, stored_weight
from tests.unit.kernels.triton_here import DEVICE, interpreted, needs_triton
from tests.unit.models.mixtures.quantized_stacks import drawn_stack
from texlens.kernels.nf4.reference import block_scales, dequantize_experts_reference, dequantize_reference

rounds = pytest.mark.skipif(interpreted, reason="Triton's interpreter cuts bfloat16 where a GPU rounds it")


@needs_triton
@pytest.mark.parametrize("dtype", [pytest.param(torch.bfloat16, marks=rounds), torch.float16, torch.float32])
@pytest.mark.parametrize("nested", [True, False])
def test_kernel_writes_the_same_values_and_nothing_else(dtype, nested):
    kernels = importlib.import_module("texlens.kernels.nf4.triton")
    weight = stored_weight() if nested else replace(stored_weight(), scales=block_scales(stored_weight()), nested=None)
    weight = on_device(weight)
    rows, gate_up = weight.shape
    rows_with_extra = torch.full((rows + 3, gate_up + 5), 9.0, dtype=dtype, device=DEVICE)
    expected = rows_with_extra.clone()
    kernels.dequantize(weight, rows_with_extra[2:-1, :gate_up])
    dequantize_reference(weight, expected[2:-1, :gate_up])
    assert torch.equal(rows_with_extra, expected)


@needs_triton
@pytest.mark.parametrize("experts", [None, [2, 0, 0, 1]])
@pytest.mark.parametrize("nested", [True, False])
def test_kernel_writes_the_same_experts_and_nothing_else(experts, nested):
    kernels = importlib.import_module("texlens.kernels.nf4.triton")
    weight = on_device(
        drawn_stack("nf4 with quantized scales" if nested else "nf4", (3, 6, 160))._weight(torch.float32)
    )
    chosen = None if experts is None else torch.tensor(experts, device=DEVICE)
    out = torch.full((3 if experts is None else 4, 8, 165), 9.0, device=DEVICE)
    expected = out.clone()
    kernels.dequantize_experts(weight, out[:, 1:-1, :160], chosen)
    dequantize_experts_reference(weight, expected[:, 1:-1, :160], chosen)
    assert torch.equal(out, expected)


@needs_triton
def test_kernel_refuses_experts_that_share_a_block():
    kernels = importlib.import_module("texlens.kernels.nf4.triton")
    weight = on_device(replace(stored_weight(), shape=(3, 43, 132)))
    with pytest.raises(ValueError, match="can't be written into"):
        kernels.dequantize_experts(weight, torch.empty(3, 43, 132, device=DEVICE))
