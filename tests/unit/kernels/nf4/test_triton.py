"""NF4 weights dequantized by hand, by bitsandbytes, and by Triton (on a GPU, or with TRITON_INTERPRET=1)."""

import importlib
import importlib.util
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from texlens.kernels.nf4.format import Nf4Weight, QuantizedScales
from texlens.kernels.nf4.reference import block_scales, dequantize_reference

interpreted = os.environ.get("TRITON_INTERPRET") == "1"
can_triton = importlib.util.find_spec("triton") and (torch.cuda.is_available() or interpreted)
needs_triton = pytest.mark.skipif(not can_triton, reason="no Triton, or no GPU and no interpreter")
rounds = pytest.mark.skipif(interpreted, reason="Triton's interpreter cuts bfloat16 where a GPU rounds it")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
STORED = Path(__file__).parents[3] / "fixtures" / "nf4.safetensors"
"""129 x 132 numbers that bitsandbytes 0.50.2 quantized twice: 267 blocks, the last of them short."""


def stored_weight() -> Nf4Weight:
    parts = load_file(STORED)
    nested = QuantizedScales(parts["nested_code"], parts["nested_absmax"], parts["offset"][0], 256)
    packed = parts["packed"].flatten()
    return Nf4Weight((129, 132), torch.bfloat16, packed, parts["absmax"], parts["code"], 64, nested)


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


def on_device(weight: Nf4Weight) -> Nf4Weight:
    nested = weight.nested and replace(
        weight.nested,
        values=weight.nested.values.to(DEVICE),
        scales=weight.nested.scales.to(DEVICE),
        offset=weight.nested.offset.to(DEVICE),
    )
    moved = {name: getattr(weight, name).to(DEVICE) for name in ("packed", "scales", "values")}
    return replace(weight, **moved, nested=nested)
