"""Dequantization into a given place."""

import importlib
import importlib.util

import pytest
import torch

from tests.unit.kernels.nf4.weights import on_device, small_weight, stored_weight
from tests.unit.kernels.triton_here import DEVICE, needs_triton
from texlens.kernels.nf4.dequantize import dequantize


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
