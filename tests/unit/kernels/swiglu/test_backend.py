"""Which adapters are computed together with SwiGLU; others run as separate operations."""

from types import SimpleNamespace

import pytest
import torch

from texlens.kernels.adapter import Adapter
from texlens.kernels.swiglu import backend as swiglu_backend
from texlens.kernels.swiglu.backend import SwigluKernels, separate_reason, triton_swiglu


def adapter(ranks: int) -> Adapter:
    return Adapter(torch.zeros(ranks, 8), torch.zeros(8, ranks), 1.0, slice(0, 8), slice(0, ranks))


@pytest.mark.parametrize(
    ("adapters", "dtype", "reason"),
    [
        ((), torch.bfloat16, "no adapters"),
        ((adapter(4), adapter(33)), torch.bfloat16, "33 ranks, more than 32"),
        ((adapter(4),), torch.float64, "torch.float64 values"),
        ((adapter(4), adapter(32)), torch.bfloat16, None),
    ],
)
def test_reason_for_separate_operations(adapters, dtype, reason):
    assert separate_reason(adapters, dtype) == reason


def test_fused_kernels_only_for_fitting_adapters_where_enabled(monkeypatch):
    operations = [name for name in dir(SwigluKernels) if name.startswith("swiglu")]
    kernels = SimpleNamespace(**dict.fromkeys(operations, print))
    monkeypatch.setattr(swiglu_backend, "BACKENDS", {"triton": kernels})
    monkeypatch.setattr(swiglu_backend, "runs_triton", lambda device: True)
    gate_up = torch.zeros(2, 16)
    assert triton_swiglu("backward", "augmented", gate_up, (adapter(33),)) is None
    assert triton_swiglu("backward", "augmented", gate_up, (adapter(4),)) is kernels
    monkeypatch.setitem(swiglu_backend.ENABLED, ("backward", "augmented"), False)
    assert triton_swiglu("backward", "augmented", gate_up, (adapter(4),)) is None
    monkeypatch.setattr(swiglu_backend, "runs_triton", lambda device: False)
    assert triton_swiglu("forward", "augmented", gate_up, (adapter(4),)) is None
