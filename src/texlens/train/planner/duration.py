"""How long a simulated step takes: each call is bound by products or by memory traffic, the whole by launching calls.

A roofline (Williams et al. 2009, doi:10.1145/1498765.1498785) over the calls that were counted, and the time that
Python and PyTorch need to launch them, which is what bounds small batches on large cards.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from texlens.train.planner.gpus import Gpu

PRODUCTS = 0.79
"""Share of the published rate that large bf16 products reach: 780 of 989 TFLOP/s on an H200, torch 2.11."""
TRAFFIC = 0.9
"""Share of the published bandwidth that a copy reaches: 4,300 of 4,800 GB/s on the same card."""
LAUNCH_US = 25.0
"""Microseconds of the host for each call of the plain engine, forward and backward, transformers' and PEFT's Python
included."""
NO_BF16 = 4.0
"""Cards without bfloat16 units emulate it; at best so many times slower."""


@dataclass(frozen=True)
class StepTime:
    """Seconds of one forward and backward pass: `device` at the roofline, `host` for launching; the longer counts."""

    device: float
    host: float
    flops: int

    @property
    def seconds(self) -> float:
        return max(self.device, self.host)

    @property
    def bound(self) -> str:
        return "launching" if self.host > self.device else "the card"


def time_step(work: Sequence[tuple[int, int]], gpu: Gpu) -> StepTime:
    """
    Args:
        work: (floating-point operations, bytes) of each call, as a `Step` has them.
    """
    rate = gpu.tflops * 1e12 * PRODUCTS / (1 if gpu.bf16 else NO_BF16)
    traffic = gpu.bandwidth_gbs * 1e9 * TRAFFIC
    device = sum(max(flops / rate, moved / traffic) for flops, moved in work)
    return StepTime(device, len(work) * LAUNCH_US / 1e6, sum(flops for flops, _ in work))
