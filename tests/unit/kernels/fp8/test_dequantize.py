"""Stacked experts in float8, written out into a given out."""

import torch

from texlens.kernels.fp8.dequantize import dequantize_experts
from texlens.kernels.fp8.format import FP8_DTYPE


def test_codes_are_multiplied_by_the_scales_of_their_rows_and_rounded_once():
    codes = torch.tensor([[[1.0, -2.0], [0.5, 448.0]], [[3.0, 0.0], [1.5, 1.0]]]).to(FP8_DTYPE)
    scale = torch.tensor([[2.0, 1.0], [10.0, 0.1]])
    out = torch.full((2, 3, 4), 9.0, dtype=torch.bfloat16)
    dequantize_experts(codes, scale, out[:, :2, :2], torch.tensor([1, 0]))
    expected = torch.tensor([[[30.0, 0.0], [0.15, 0.1]], [[2.0, -4.0], [0.5, 448.0]]]).bfloat16()
    assert torch.equal(out[:, :2, :2], expected)
    assert (out[:, 2] == 9).all()
    assert (out[:, :, 2:] == 9).all()
