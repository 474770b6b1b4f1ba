"""Backends of an operation by name."""

import pytest
import torch

from texlens.kernels import backends
from texlens.kernels.backends import Registry, runs_triton, use_triton


def test_a_backend_is_imported_once_and_only_when_asked_for():
    calls = []
    registry = Registry(first=lambda: calls.append("first") or "A", second=lambda: calls.append("second") or "B")
    assert registry.names == ("first", "second")
    assert [registry["first"], registry["first"]] == ["A", "A"]
    assert calls == ["first"]
    with pytest.raises(KeyError):
        registry["third"]


def test_triton_can_be_turned_off_and_needs_a_gpu_or_its_interpreter(monkeypatch):
    monkeypatch.setattr(backends, "_can_run_triton", lambda kind: kind == "cuda")
    monkeypatch.setattr(backends, "TRITON_ENABLED", True)
    gpu, cpu = torch.device("cuda"), torch.device("cpu")
    assert runs_triton(gpu)
    assert not runs_triton(cpu)
    assert not runs_triton(gpu, enabled=False)
    use_triton(False)
    assert not runs_triton(gpu)
    assert runs_triton(gpu, enabled=True)
