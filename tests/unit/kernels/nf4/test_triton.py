"""NF4 weights dequantized by hand, by bitsandbytes, and by Triton (on a GPU, or with TRITON_INTERPRET=1)."""

import importlib
import importlib.util
from dataclasses import replace

import pytest
import torch

from tests.unit.kernels.nf4.weights import (
    DEVICE,
    interpreted,
    needs_triton,
    on_device,
    stored_weight,
)
from texlens.kernels.nf4.reference import block_scales, dequantize_reference

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
