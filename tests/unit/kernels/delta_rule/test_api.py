from types import SimpleNamespace

import torch

from texlens.kernels import backends
from texlens.kernels.delta_rule import api, reference


def test_a_cpu_runs_the_reference_without_a_note(monkeypatch, capsys):
    monkeypatch.setattr(api, "runs_triton", lambda device: False)
    assert api.delta_rule_kernels(torch.device("cpu")) is reference
    assert not capsys.readouterr().err


def test_a_gpu_with_triton_runs_our_kernels(monkeypatch):
    ours = SimpleNamespace(delta_rule=reference.delta_rule)
    monkeypatch.setattr(api, "runs_triton", lambda device: device.type == "cuda")
    monkeypatch.setattr(api, "BACKENDS", {"triton": ours, "reference": reference})
    assert api.delta_rule_kernels(torch.device("cuda")) is ours


def test_a_gpu_without_triton_runs_the_reference_and_a_note_names_the_reason(monkeypatch, capsys):
    monkeypatch.setattr(api, "runs_triton", lambda device: False)
    monkeypatch.setattr("texlens.core.notes._printed", set())
    assert api.delta_rule_kernels(torch.device("cuda")) is reference
    assert "plain PyTorch, many times slower: the package triton is not installed" in capsys.readouterr().err
    monkeypatch.setattr(backends, "TRITON_ENABLED", False)
    assert api.delta_rule_kernels(torch.device("cuda")) is reference
    assert "many times slower: Triton kernels are turned off" in capsys.readouterr().err


def test_the_reference_follows_the_protocol():
    assert isinstance(api.BACKENDS["reference"], api.DeltaRule)
    assert api.BACKENDS.names == ("reference", "triton")
