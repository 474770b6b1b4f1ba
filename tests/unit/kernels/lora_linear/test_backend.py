"""Where the kernels are used."""

import importlib.util

import pytest
import torch

from tests.unit.kernels.lora_linear.products import (
    DEVICE,
    interpreted,
)
from texlens.kernels.lora_linear import backend as lora_backend

pytestmark = pytest.mark.skipif(
    not importlib.util.find_spec("triton") or not (torch.cuda.is_available() or interpreted),
    reason="no Triton, or no GPU and no interpreter",
)


def test_64_bits_are_left_to_pytorch():
    assert lora_backend.triton_lora("lora_b_backward", torch.zeros(2, dtype=torch.float64, device=DEVICE)) is None
    assert lora_backend.triton_lora("lora_b_backward", torch.zeros(2, device=DEVICE)) is not None
