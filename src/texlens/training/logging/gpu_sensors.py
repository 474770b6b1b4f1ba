"""Utilization, power and temperature of the GPU that this process computes on, as NVML reports them."""

import contextlib

import torch


def gpu_sensors() -> dict[str, float]:
    """Percent, watts and degrees Celsius; what can't be read is absent, and so is all without a GPU or nvidia-ml-py."""
    if not torch.cuda.is_available():
        return {}
    try:
        import pynvml
    except ImportError:
        return {}
    readings: dict[str, float] = {}
    for name, read in (
        ("gpu_utilization", torch.cuda.utilization),
        ("gpu_power_w", lambda: round(torch.cuda.power_draw() / 1000, 1)),
        ("gpu_temperature_c", torch.cuda.temperature),
    ):
        with contextlib.suppress(pynvml.NVMLError, RuntimeError):
            readings[name] = read()
    return readings
