"""Peak memory of training, by part, from one simulated step: what is allocated, and what a GPU needs in addition.

Everything in `parts` is counted, nothing is fitted; the libraries' workspace follows from the difference between
steps. What the driver and the caching allocator add is measured and listed separately.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import nn

from texlens.models.packed.memory import WORKSPACE
from texlens.planner.simulated_step import (
    BACKWARD,
    GRADIENTS,
    HEAD,
    INPUTS,
    TEXT,
    TRAINED,
    VISION,
    WEIGHTS,
    SimulatedStep,
)

GIB = 2**30
PARTS = (
    "frozen weights",
    "trained weights",
    "gradients",
    "optimizer",
    "text activations",
    "vision activations",
    "logits and loss",
    "backward temporaries",
    "inputs",
    "workspace",
)
_NAMES = {
    WEIGHTS: "frozen weights",
    TRAINED: "trained weights",
    GRADIENTS: "gradients",
    TEXT: "text activations",
    VISION: "vision activations",
    HEAD: "logits and loss",
    BACKWARD: "backward temporaries",
    INPUTS: "inputs",
}
CONTEXT_GIB = 0.751
"""CUDA context and loaded kernels of one process, outside of PyTorch's allocator: 0.751 to 0.753 in eleven runs on an
H200 (CUDA 13.0, torch 2.11, 2026-11-21)."""
FRAGMENTATION = 1.7
"""What the caching allocator reserves above what is allocated, as a multiple of the float32 logits of all tokens:
blocks of their forward pass that no other tensor is large enough to fill. The median of five combinations on an H200
(benchmarks/planner_peaks.py); weights and small tensors add next to nothing."""


@dataclass(frozen=True)
class MemoryPlan:
    """`parts` are GiB at the moment of the peak; `allocated` is their sum, `total` what the GPU must have free."""

    parts: Mapping[str, float]
    context: float
    fragmentation: float

    @property
    def allocated(self) -> float:
        return sum(self.parts.values())

    @property
    def static(self) -> float:
        """What does not depend on the batch."""
        return self.context + sum(self.parts[name] for name in ("frozen weights", "trained weights", "optimizer"))

    @property
    def total(self) -> float:
        return self.allocated + self.context + self.fragmentation

    def to_json(self) -> dict:
        return {
            "parts_gib": {name: round(size, 3) for name, size in self.parts.items()},
            "allocated_gib": round(self.allocated, 3),
            "context_gib": self.context,
            "fragmentation_gib": round(self.fragmentation, 3),
            "total_gib": round(self.total, 3),
        }


def plan_memory(step: SimulatedStep, trained: Iterable[nn.Parameter], optimizer: str = "adamw") -> MemoryPlan:
    """
    Args:
        trained: the parameters of the optimizer; they may be on the meta device.
        optimizer: `adamw` or `adamw-8bit`.
    """
    bytes_of = {_NAMES[tag]: size for tag, size in step.parts.items()}
    bytes_of |= {"optimizer": optimizer_bytes(trained, optimizer), "workspace": WORKSPACE}
    parts = {name: bytes_of.get(name, 0) / GIB for name in PARTS}
    return MemoryPlan(parts, CONTEXT_GIB, FRAGMENTATION * step.logits / GIB)


def optimizer_bytes(trained: Iterable[nn.Parameter], optimizer: str) -> int:
    """AdamW's two moments, in each parameter's own type; or in a byte each, with a float32 a block of 256
    (bitsandbytes), except for parameters of under 4,096 numbers, which stay in float32."""
    total = 0
    for parameter in trained:
        if optimizer == "adamw-8bit" and parameter.numel() >= 4096:
            total += 2 * (parameter.numel() + 4 * -(-parameter.numel() // 256))
        else:
            total += 2 * parameter.numel() * (4 if optimizer == "adamw-8bit" else parameter.element_size())
    return total
