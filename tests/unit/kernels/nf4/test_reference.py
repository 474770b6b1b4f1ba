"""The reference of dequantization."""

from dataclasses import replace

import torch

from tests.unit.kernels.nf4.weights import dequantized, small_weight
from texlens.kernels.nf4.format import QuantizedScales
from texlens.kernels.nf4.reference import block_scales


def test_the_first_number_of_a_byte_is_its_high_half_and_each_block_has_its_scale():
    assert dequantized(small_weight(), torch.float32).tolist() == [[0, 2, -2, -16], [70, 70, 0, 20]]


def test_scales_of_double_quantization_are_looked_up_scaled_by_group_and_moved():
    nested = QuantizedScales(torch.tensor([0.5, -1.0]), torch.tensor([4.0, 8.0]), torch.tensor(3.0), 1)
    weight = replace(small_weight(), scales=torch.tensor([1, 0], dtype=torch.uint8), nested=nested)
    assert block_scales(weight).tolist() == [-1, 7]
