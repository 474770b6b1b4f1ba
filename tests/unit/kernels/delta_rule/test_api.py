import importlib.util

import torch

from texlens.kernels import backends
from texlens.kernels.delta_rule import api, reference


def test_a_cpu_runs_the_reference_without_a_note(capsys):
    assert api.delta_rule_kernels(torch.device("cpu")) is reference
    assert not capsys.readouterr().err


def test_a_gpu_without_the_package_runs_the_reference_and_the_note_names_the_reason(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "fla" else object())
    assert api.delta_rule_kernels(torch.device("cuda")) is reference
    error = capsys.readouterr().err
    assert "the package flash-linear-attention is not installed; pip install 'texlens[gpu]'" in error


def test_triton_turned_off_is_the_reason(monkeypatch):
    monkeypatch.setattr(backends, "TRITON_ENABLED", False)
    assert api.kernels_missing_reason() == "Triton kernels are turned off"


def test_the_reference_follows_the_protocol():
    assert isinstance(api.BACKENDS["reference"], api.DeltaRule)
    assert api.BACKENDS.names == ("reference", "fla")
