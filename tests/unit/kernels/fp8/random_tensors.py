"""Random tensors on the device of the tests."""

import importlib.util
import os

import pytest
import torch

from texlens.kernels.fp8 import format as fp8

can_triton = importlib.util.find_spec("triton") and (
    os.environ.get("TRITON_INTERPRET") == "1"
    or (torch.cuda.is_available() and not fp8.fp8_unsupported_reason(torch.device("cuda")))
)

DEVICE = "cuda" if torch.cuda.is_available() and can_triton else "cpu"


def random_tensor(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape))).to(DEVICE)


with_triton = pytest.mark.skipif(not can_triton, reason="no Triton, or no GPU and no interpreter")
