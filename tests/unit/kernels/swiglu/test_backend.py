"""Which adapters are made together with SwiGLU, and that others go by separate passes."""

import pytest
import torch

from texlens.kernels.lora_linear.products import Adapter
from texlens.kernels.swiglu import dispatch as mlp


def adapter(ranks: int) -> Adapter:
    return Adapter(torch.zeros(ranks, 8), torch.zeros(8, ranks), 1.0, slice(0, 8), slice(0, ranks))


@pytest.mark.parametrize(
    ("adapters", "dtype", "reason"),
    [
        ((), torch.bfloat16, "no adapters"),
        ((adapter(4), adapter(33)), torch.bfloat16, "33 ranks, more than 32"),
        ((adapter(4),), torch.float64, "torch.float64 numbers"),
        ((adapter(4), adapter(32)), torch.bfloat16, None),
    ],
)
def test_what_keeps_adapters_from_the_fused_passes_is_said(adapters, dtype, reason):
    assert mlp.why_not(adapters, dtype) == reason


def test_there_are_no_fused_passes_for_such_adapters_nor_where_they_are_switched_off(monkeypatch):
    monkeypatch.setattr(mlp, "triton_attention", lambda device: "kernels")
    monkeypatch.setattr(mlp.importlib, "import_module", lambda name: name)
    wide = torch.zeros(2, 16)
    assert mlp.triton_swiglu("back", "bordered", wide, (adapter(33),)) is None
    assert mlp.triton_swiglu("back", "bordered", wide, (adapter(4),)) == "texlens.kernels.swiglu.triton"
    monkeypatch.setitem(mlp.OWN, ("back", "bordered"), False)
    assert mlp.triton_swiglu("back", "bordered", wide, (adapter(4),)) is None
    monkeypatch.setattr(mlp, "triton_attention", lambda device: None)
    assert mlp.triton_swiglu("forward", "bordered", wide, (adapter(4),)) is None
