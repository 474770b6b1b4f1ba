"""The format of NF4 weights, against bitsandbytes."""

import hashlib
import importlib
import importlib.util

import pytest
import torch

from tests.unit.kernels.nf4.weights import dequantized, stored_weight
from tests.unit.kernels.triton_here import DEVICE
from texlens.kernels.nf4.dequantize import dequantize
from texlens.kernels.nf4.format import nf4_unsupported_reason, nf4_weight

HAS = importlib.util.find_spec("bitsandbytes") is not None
needs_bitsandbytes = pytest.mark.skipif(not HAS, reason="bitsandbytes is not installed")


def test_stored_numbers_are_those_of_bitsandbytes():
    in_16_bits, gate_up = dequantized(stored_weight(), torch.bfloat16), dequantized(stored_weight(), torch.float32)
    digests = [
        hashlib.sha256(part.numpy().tobytes()).hexdigest()[:16] for part in (in_16_bits.view(torch.int16), gate_up)
    ]
    assert digests == ["689f33485b74ae6c", "fbb99fac10d09cd9"]
    assert in_16_bits[-1, -4:].tolist() == [-1.0546875, -0.09619140625, -0.41796875, -0.734375]


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
