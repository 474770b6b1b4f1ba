import importlib.metadata
import importlib.util
from types import SimpleNamespace

import pytest
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
    assert api.BACKENDS.names == ("reference", "triton", "fla")


@pytest.mark.parametrize(
    ("triton", "capability", "tilelang", "runs"),
    [
        ("3.6.0", (9, 0), False, "reference"),
        ("3.7.0", (9, 0), False, "reference"),
        ("3.6.0", (9, 0), True, "fla"),
        ("3.7.1", (9, 0), False, "fla"),
        ("3.3.1", (9, 0), False, "fla"),
        ("3.6.0", (8, 0), False, "fla"),
    ],
)
def test_wrong_gradients_of_triton_on_hopper_are_avoided(monkeypatch, capsys, triton, capability, tilelang, runs):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: triton)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tilelang" and not tilelang else 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    backends_of_test = {"reference": reference, "fla": SimpleNamespace(delta_rule=reference.delta_rule)}
    monkeypatch.setattr(api, "BACKENDS", backends_of_test)
    monkeypatch.setattr("texlens.core.notes._printed", set())
    device = torch.device("cuda")

    assert api.delta_rule_kernels(device, with_gradients=True) is backends_of_test[runs]
    assert (f"Triton {triton} compiles" in capsys.readouterr().err) == (runs == "reference")
    assert api.delta_rule_kernels(device) is backends_of_test["fla"]
