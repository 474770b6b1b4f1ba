"""Dequantization into a given place."""

import importlib
import importlib.util
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from texlens.kernels.nf4.dequantize import dequantize
from texlens.kernels.nf4.format import Nf4Weight, QuantizedScales

interpreted = os.environ.get("TRITON_INTERPRET") == "1"
can_triton = importlib.util.find_spec("triton") and (torch.cuda.is_available() or interpreted)
needs_triton = pytest.mark.skipif(not can_triton, reason="no Triton, or no GPU and no interpreter")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
STORED = Path(__file__).parents[3] / "fixtures" / "nf4.safetensors"
"""129 x 132 numbers that bitsandbytes 0.50.2 quantized twice: 267 blocks, the last of them short."""


def stored_weight() -> Nf4Weight:
    parts = load_file(STORED)
    nested = QuantizedScales(parts["nested_code"], parts["nested_absmax"], parts["offset"][0], 256)
    packed = parts["packed"].flatten()
    return Nf4Weight((129, 132), torch.bfloat16, packed, parts["absmax"], parts["code"], 64, nested)


def small_weight() -> Nf4Weight:
    values = torch.arange(16.0) - 8
    packed = torch.tensor([0x89, 0x70, 0xFF, 0x8A], dtype=torch.uint8)
    return Nf4Weight((2, 4), torch.float32, packed, torch.tensor([2.0, 10.0]), values, 4, None)


def test_rows_may_lie_apart_and_what_is_between_them_stays():
    rows_with_extra = torch.full((5, 7), 9.0)
    dequantize(small_weight(), rows_with_extra[1:3, :4])
    assert rows_with_extra[1:3, :4].tolist() == [[0, 2, -2, -16], [70, 70, 0, 20]]
    assert (rows_with_extra == 9).sum() == 35 - 8


@needs_triton
def test_the_kernel_refuses_a_place_of_another_shape():
    kernels = importlib.import_module("texlens.kernels.nf4.triton")
    weight = on_device(stored_weight())
    with pytest.raises(ValueError, match="can't be written into"):
        kernels.dequantize(weight, torch.empty(132, 129, device=DEVICE).T)


def on_device(weight: Nf4Weight) -> Nf4Weight:
    nested = weight.nested and replace(
        weight.nested,
        values=weight.nested.values.to(DEVICE),
        scales=weight.nested.scales.to(DEVICE),
        offset=weight.nested.offset.to(DEVICE),
    )
    moved = {name: getattr(weight, name).to(DEVICE) for name in ("packed", "scales", "values")}
    return replace(weight, **moved, nested=nested)
