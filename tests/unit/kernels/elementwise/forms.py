"""Inputs that several tests share."""

import importlib.util
import os

import pytest
import torch

interpreted = os.environ.get("TRITON_INTERPRET") == "1"

can_triton = importlib.util.find_spec("triton") and (torch.cuda.is_available() or interpreted)

FORMS = [
    pytest.param("cpu", marks=pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU's numbers have 16 bits")),
    pytest.param("triton", marks=pytest.mark.skipif(not can_triton, reason="no Triton, or no GPU and no interpreter")),
]

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

DTYPE = torch.bfloat16 if torch.cuda.is_available() else torch.float32

TOKENS, WIDTH, MLP_WIDTH, EPS = 5, 40, 24, 1e-6


def random_tensor(*shape: int, seed: int = 0, dtype: torch.dtype = DTYPE) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(*shape, generator=generator).to(DEVICE, dtype)
