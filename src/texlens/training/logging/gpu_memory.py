"""GPU memory before and after training, and its share of the GPU."""

from dataclasses import dataclass

import torch

GIB = 2**30


@dataclass(frozen=True)
class GpuMemory:
    """`total_gib` is the GPU's memory, 0 without a GPU; `before_gib` what PyTorch had reserved before training."""

    total_gib: float = 0.0
    before_gib: float = 0.0

    @classmethod
    def before_training(cls) -> "GpuMemory":
        """Also begins the measurement of the peak."""
        if not torch.cuda.is_available():
            return cls()
        before = torch.cuda.memory_reserved() / GIB
        torch.cuda.reset_peak_memory_stats()
        return cls(torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory / GIB, before)

    def after_training(self, peak_gib: float | None = None) -> dict[str, dict[str, float]]:
        """`{"gpu_memory": {...}}` for run.json, nothing without a GPU.

        Args:
            peak_gib: default: what PyTorch reserved at most.

        Example:
            GpuMemory(40, 10).after_training(30) -> total 40, before 10, peak 30 (75%), training 20 (50%)
        """
        if not self.total_gib:
            return {}
        peak = torch.cuda.max_memory_reserved() / GIB if peak_gib is None else peak_gib
        training = peak - self.before_gib
        return {
            "gpu_memory": {
                "total_gib": round(self.total_gib, 3),
                "before_gib": round(self.before_gib, 3),
                "peak_gib": round(peak, 3),
                "peak_share": round(peak / self.total_gib, 4),
                "training_gib": round(training, 3),
                "training_share": round(training / self.total_gib, 4),
            }
        }
