"""The time of a simulated step: each call is bound by matrix products or by memory traffic, plus launch overhead.

A roofline (Williams et al. 2009, doi:10.1145/1498765.1498785) over the counted calls, and for each call the time that
the GPU waits for Python and PyTorch, which dominates small batches on large GPUs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from texlens.planner.gpus import Gpu

MATMUL_EFFICIENCY = 0.79
"""Share of the published rate that large bf16 matrix products reach: 780 of 989 TFLOP/s on an H200, torch 2.11."""
BANDWIDTH_EFFICIENCY = 0.9
"""Share of the published bandwidth that a copy reaches: 4,300 of 4,800 GB/s on the same GPU."""
LAUNCH_US = 12.5
"""Microseconds that each call of the plain backend takes beyond its roofline, forward and backward, transformers' and
PEFT's Python included. Fitted to five combinations on an H200 (torch 2.11, 2026-11-21, benchmarks/planner_peaks.py),
whose step times it predicts within 16%; six held-out combinations within 33%."""
BF16_EMULATION = 4.0
"""How many times slower GPUs without bfloat16 units are, at best: they emulate it."""


@dataclass(frozen=True)
class StepTime:
    """Seconds of one forward and backward pass: `device` at the roofline, `host` for launching, `communication` while
    a GPU waits for others. They add up: a small call leaves the GPU idle, and a large one lets the host get ahead only
    until the next small ones."""

    device: float
    host: float
    flops: int
    communication: float = 0.0

    @property
    def seconds(self) -> float:
        return self.device + self.host + self.communication

    @property
    def bound(self) -> str:
        if self.communication > max(self.host, self.device):
            return "communication"
        return "launching" if self.host > self.device else "the GPU"


def time_step(work: Sequence[tuple[int, int]], gpu: Gpu) -> StepTime:
    """
    Args:
        work: (floating-point operations, bytes) of each call, as in `SimulatedStep`.
    """
    rate = gpu.tflops * 1e12 * MATMUL_EFFICIENCY / (1 if gpu.bf16 else BF16_EMULATION)
    bandwidth = gpu.bandwidth_gbs * 1e9 * BANDWIDTH_EFFICIENCY
    device = sum(max(flops / rate, nbytes / bandwidth) for flops, nbytes in work)
    return StepTime(device, len(work) * LAUNCH_US / 1e6, sum(flops for flops, _ in work))
