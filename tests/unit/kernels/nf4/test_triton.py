"""NF4 weights dequantized by hand, by bitsandbytes, and by Triton (on a GPU, or with TRITON_INTERPRET=1)."""

import hashlib
import importlib
import importlib.util
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from texlens.kernels.nf4.dequantize import dequantize
from texlens.kernels.nf4.format import Nf4Weight, QuantizedScales, nf4_unsupported_reason, nf4_weight
from texlens.kernels.nf4.reference import block_scales, dequantize_reference

HAS = importlib.util.find_spec("bitsandbytes") is not None
needs_bitsandbytes = pytest.mark.skipif(not HAS, reason="bitsandbytes is not installed")
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


def small_weight() -> Nf4Weight:
    values = torch.arange(16.0) - 8
    packed = torch.tensor([0x89, 0x70, 0xFF, 0x8A], dtype=torch.uint8)
    return Nf4Weight((2, 4), torch.float32, packed, torch.tensor([2.0, 10.0]), values, 4, None)


def dequantized(weight: Nf4Weight, dtype: torch.dtype, write=dequantize_reference) -> torch.Tensor:
    out = torch.full(weight.shape, 7.0, dtype=dtype, device=weight.device)
    write(weight, out)
    return out


def test_the_first_number_of_a_byte_is_its_high_half_and_each_block_has_its_scale():
    assert dequantized(small_weight(), torch.float32).tolist() == [[0, 2, -2, -16], [70, 70, 0, 20]]


def test_scales_of_double_quantization_are_looked_up_scaled_by_group_and_moved():
    nested = QuantizedScales(torch.tensor([0.5, -1.0]), torch.tensor([4.0, 8.0]), torch.tensor(3.0), 1)
    weight = replace(small_weight(), scales=torch.tensor([1, 0], dtype=torch.uint8), nested=nested)
    assert block_scales(weight).tolist() == [-1, 7]


def test_stored_numbers_are_those_of_bitsandbytes():
    in_16_bits, gate_up = dequantized(stored_weight(), torch.bfloat16), dequantized(stored_weight(), torch.float32)
    digests = [
        hashlib.sha256(part.numpy().tobytes()).hexdigest()[:16] for part in (in_16_bits.view(torch.int16), gate_up)
    ]
    assert digests == ["689f33485b74ae6c", "fbb99fac10d09cd9"]
    assert in_16_bits[-1, -4:].tolist() == [-1.0546875, -0.09619140625, -0.41796875, -0.734375]


def test_rows_may_lie_apart_and_what_is_between_them_stays():
    rows_with_extra = torch.full((5, 7), 9.0)
    dequantize(small_weight(), rows_with_extra[1:3, :4])
    assert rows_with_extra[1:3, :4].tolist() == [[0, 2, -2, -16], [70, 70, 0, 20]]
    assert (rows_with_extra == 9).sum() == 35 - 8


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
def test_the_kernel_refuses_a_place_of_another_shape():
    kernels = importlib.import_module("texlens.kernels.nf4.triton")
    weight = on_device(stored_weight())
    with pytest.raises(ValueError, match="can't be written into"):
        kernels.dequantize(weight, torch.empty(132, 129, device=DEVICE).T)


@needs_bitsandbytes
@pytest.mark.parametrize("double_quantized", [True, False])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_a_parameter_of_bitsandbytes_is_read_bit_for_bit(dtype, double_quantized):
    import bitsandbytes

    torch.manual_seed(0)
    numbers = torch.randn(258, 66, dtype=dtype) * torch.rand(258, 1, dtype=dtype)
    parameter = bitsandbytes.nn.Params4bit(numbers, quant_type="nf4", compress_statistics=double_quantized).to(DEVICE)
    assert nf4_unsupported_reason(parameter) is None
    weight = nf4_weight(parameter)
    assert (weight.shape, weight.dtype, weight.nested is not None) == ((258, 66), dtype, double_quantized)
    results = torch.empty(258, 66, dtype=dtype, device=DEVICE)
    dequantize(weight, results)
    assert torch.equal(results, bitsandbytes.functional.dequantize_4bit(parameter.data, parameter.quant_state))


@needs_bitsandbytes
def test_bytes_that_are_stored_as_other_numbers_are_the_same_bytes():
    import bitsandbytes

    numbers = torch.randn(64, 64)
    results = []
    for storage in (torch.uint8, torch.bfloat16):
        parameter = bitsandbytes.nn.Params4bit(numbers.clone(), quant_type="nf4", quant_storage=storage).to(DEVICE)
        assert parameter.dtype == storage
        results.append(dequantized(nf4_weight(parameter), torch.float32, dequantize))
    assert torch.equal(*results)


@needs_bitsandbytes
def test_other_kinds_are_reported():
    import bitsandbytes

    fp4 = bitsandbytes.nn.Params4bit(torch.randn(8, 8), quant_type="fp4").to(DEVICE)
    assert nf4_unsupported_reason(fp4) == "a weight in fp4"
    assert nf4_unsupported_reason(bitsandbytes.nn.Params4bit(torch.randn(8, 8))) == "a weight that is not quantized yet"


def on_device(weight: Nf4Weight) -> Nf4Weight:
    nested = weight.nested and replace(
        weight.nested,
        values=weight.nested.values.to(DEVICE),
        scales=weight.nested.scales.to(DEVICE),
        offset=weight.nested.offset.to(DEVICE),
    )
    moved = {name: getattr(weight, name).to(DEVICE) for name in ("packed", "scales", "values")}
    return replace(weight, **moved, nested=nested)
