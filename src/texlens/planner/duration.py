"""How long a simulated step takes: each call is bound by products or by memory traffic, and costs something besides.

A roofline (Williams et al. 2009, doi:10.1145/1498765.1498785) over the calls that were counted, and for each call what
the card waits for Python and PyTorch, which is most of the time of small batches on large cards.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from texlens.planner.gpus import Gpu

PRODUCTS = 0.79
"""Share of the published rate that large bf16 products reach: 780 of 989 TFLOP/s on an H200, torch 2.11."""
TRAFFIC = 0.9
"""Share of the published bandwidth that a copy reaches: 4,300 of 4,800 GB/s on the same card."""
LAUNCH_US = 12.5
"""Microseconds that each call of the plain engine takes beyond its roofline, forward and backward, transformers' and
PEFT's Python included. Fitted to five combinations on an H200 (torch 2.11, 2026-11-21, benchmarks/planner_peaks.py),
whose step times it meets within 16%; six that were held out, within 33%."""
NO_BF16 = 4.0
"""Cards without bfloat16 units emulate it; at best so many times slower."""


@dataclass(frozen=True)
class StepTime:
    """Seconds of one forward and backward pass: `device` at the roofline, `host` for launching. They add up: a small
    call leaves the card idle, and a large one lets the host get ahead only as far as the next small ones."""

    device: float
    host: float
    flops: int

    @property
    def seconds(self) -> float:
        return self.device + self.host

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
