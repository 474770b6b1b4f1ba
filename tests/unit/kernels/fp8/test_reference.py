"""Rows in float8 and products with them; Triton on a GPU, or with TRITON_INTERPRET=1 anywhere."""

import importlib.util

import torch

from tests.unit.kernels.fp8.random_tensors import DEVICE, random_tensor, with_triton
from texlens.kernels.fp8 import format as fp8
from texlens.kernels.fp8.reference import quantize_rows_reference


def test_largest_value_of_a_row_is_exact_and_others_err_by_a_sixteenth():
    x = random_tensor(7, 40) * torch.logspace(-6, 3, 7, device=DEVICE)[:, None]
    quantized, scale = quantize_rows_reference(x)
    back = quantized.float() * scale
    torch.testing.assert_close(back.abs().amax(1), x.abs().amax(1), rtol=1e-6, atol=0)
    assert ((back - x).abs() <= x.abs() / 16 + scale * 2**-10).all()


def test_a_row_of_zeros_stays_zero():
    quantized, scale = quantize_rows_reference(torch.zeros(2, 16))
    assert (quantized.float() * scale == 0).all()


@with_triton
def test_appended_columns_and_their_residuals_round_to_nearest_even():
    numbers = torch.cat([random_tensor(4096) * scale for scale in (1e-4, 3e-3, 0.02, 1.0, 100.0)]).clamp(-448, 448)
    halves = torch.arange(64, device=DEVICE) / 1024  # half way between float8 values, and float8 values
    numbers = torch.cat([numbers, halves, -halves]).view(-1, 16)
    lora_a_out = torch.cat([numbers, torch.full_like(numbers, 448.0)], 1)  # rows of scale 1
    triton = importlib.import_module("texlens.kernels.fp8.triton")
    quantized, scale = triton.quantize_rows(
        torch.zeros(len(lora_a_out), 16, device=DEVICE), lora_a_out, torch.ones(1, device=DEVICE)
    )
    assert torch.equal(scale, torch.ones_like(scale))
    high, repeated, low = (quantized[:, 16 + 32 * n : 32 + 32 * n] for n in range(3))
    assert torch.equal(high.float(), numbers.to(fp8.FP8_DTYPE).float())
    assert torch.equal(repeated.float(), high.float())
    assert torch.equal(low.float(), (numbers - high.float()).to(fp8.FP8_DTYPE).float())
