"""Inputs that several tests share."""

import pytest
import torch

from tests.unit.kernels.triton_here import DEVICE, needs_triton

FORMS = [
    pytest.param("cpu", marks=pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU's numbers have 16 bits")),
    pytest.param("triton", marks=needs_triton),
]


DTYPE = torch.bfloat16 if torch.cuda.is_available() else torch.float32

TOKENS, WIDTH, MLP_WIDTH, EPS = 5, 40, 24, 1e-6


def random_tensor(*shape: int, seed: int = 0, dtype: torch.dtype = DTYPE) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(*shape, generator=generator).to(DEVICE, dtype)
