"""Weights stored in NF4."""

from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file

from tests.unit.kernels.triton_here import DEVICE
from texlens.kernels.nf4.format import Nf4Weight, QuantizedScales
from texlens.kernels.nf4.reference import dequantize_reference

STORED = Path(__file__).parents[3] / "fixtures" / "nf4.safetensors"


def stored_weight() -> Nf4Weight:
    parts = load_file(STORED)
    nested = QuantizedScales(parts["nested_code"], parts["nested_absmax"], parts["offset"][0], 256)
    packed = parts["packed"].flatten()
    return Nf4Weight((129, 132), torch.bfloat16, packed, parts["absmax"], parts["code"], 64, nested)


def small_weight() -> Nf4Weight:
    values = torch.arange(16.0) - 8
    packed = torch.tensor([0x89, 0x70, 0xFF, 0x8A], dtype=torch.uint8)
    return Nf4Weight((2, 4), torch.float32, packed, torch.tensor([2.0, 10.0]), values, 4, None)


def on_device(weight: Nf4Weight) -> Nf4Weight:
    nested = weight.nested and replace(
        weight.nested,
        values=weight.nested.values.to(DEVICE),
        scales=weight.nested.scales.to(DEVICE),
        offset=weight.nested.offset.to(DEVICE),
    )
    moved = {name: getattr(weight, name).to(DEVICE) for name in ("packed", "scales", "values")}
    return replace(weight, **moved, nested=nested)


def dequantized(weight: Nf4Weight, dtype: torch.dtype, write=dequantize_reference) -> torch.Tensor:
    out = torch.full(weight.shape, 7.0, dtype=dtype, device=weight.device)
    write(weight, out)
    return out
