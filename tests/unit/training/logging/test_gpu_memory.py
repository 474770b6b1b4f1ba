import torch

from texlens.training.logging.gpu_memory import GpuMemory


def test_shares_are_of_the_gpu_s_memory():
    memory = GpuMemory(40.0, 10.0).after_training(30.0)["gpu_memory"]
    assert (memory["peak_gib"], memory["peak_share"]) == (30.0, 0.75)
    assert (memory["training_gib"], memory["training_share"]) == (20.0, 0.5)


def test_without_a_gpu_nothing_is_recorded():
    assert GpuMemory().after_training() == {}


class FakeGpu:
    """What `torch.cuda` says of a GPU of 24 GiB on which PyTorch reserves 6 GiB of weights, then 15 at most."""

    def __init__(self):
        self.reserved, self.peak = 6 * 2**30, 9 * 2**30

    def is_available(self):
        return True

    def current_device(self):
        return 0

    def get_device_properties(self, device):
        return type("Properties", (), {"total_memory": 24 * 2**30})

    def memory_reserved(self):
        return self.reserved

    def reset_peak_memory_stats(self):
        self.peak = self.reserved

    def max_memory_reserved(self):
        return self.peak


def test_a_peak_before_training_does_not_count(monkeypatch):
    gpu = FakeGpu()
    for name in ("is_available", "current_device", "get_device_properties", "memory_reserved"):
        monkeypatch.setattr(torch.cuda, name, getattr(gpu, name))
    for name in ("reset_peak_memory_stats", "max_memory_reserved"):
        monkeypatch.setattr(torch.cuda, name, getattr(gpu, name))
    memory = GpuMemory.before_training()
    assert memory.after_training()["gpu_memory"]["training_gib"] == 0, "the load's peak of 9 GiB is forgotten"
    gpu.peak = 15 * 2**30
    assert memory.after_training()["gpu_memory"] == {
        "total_gib": 24.0,
        "before_gib": 6.0,
        "peak_gib": 15.0,
        "peak_share": 0.625,
        "training_gib": 9.0,
        "training_share": 0.375,
    }
