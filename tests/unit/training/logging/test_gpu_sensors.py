import sys
from types import ModuleType

import torch

from texlens.training.logging.gpu_sensors import gpu_sensors


class NVMLError(Exception):
    pass


def refuse():
    raise NVMLError


def use_gpu(monkeypatch, temperature):
    module = ModuleType("pynvml")
    module.NVMLError = NVMLError
    monkeypatch.setitem(sys.modules, "pynvml", module)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "utilization", lambda: 97)
    monkeypatch.setattr(torch.cuda, "power_draw", lambda: 512_340)
    monkeypatch.setattr(torch.cuda, "temperature", temperature)


def test_power_is_in_watts(monkeypatch):
    use_gpu(monkeypatch, lambda: 61)
    assert gpu_sensors() == {"gpu_utilization": 97, "gpu_power_w": 512.3, "gpu_temperature_c": 61}


def test_what_can_not_be_read_is_absent(monkeypatch):
    use_gpu(monkeypatch, refuse)
    assert gpu_sensors() == {"gpu_utilization": 97, "gpu_power_w": 512.3}
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert gpu_sensors() == {}


def test_without_a_gpu_there_is_nothing(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu_sensors() == {}
