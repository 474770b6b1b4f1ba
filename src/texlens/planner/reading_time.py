"""How long the test rows take to be read after training, by base and adapter.

On a GPU a step of decoding reads all weights once, multiplies the rows' tokens, and waits for launches.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from texlens.planner.duration import BANDWIDTH_EFFICIENCY, MATMUL_EFFICIENCY
from texlens.planner.gpus import Gpu
from texlens.planner.rows import RowSize
from texlens.planner.work import ModelWork, mean

STEP_OVERHEAD_S = 1.6e-3
"""What a step of decoding takes beyond weights and products."""
DECODE_EFFICIENCY = 0.47
"""Share of the published rate that the products of a step reach. With both, steps of 16, 64 and 256 rows of Qwen3-VL-4B
on an H200 come out at 3.7, 4.6 and 7.9 ms, where the engine took 3.87, 4.30 and 7.61 (torch 2.11, 2026-11-30,
benchmarks/reading_gpu.py)."""
BYTES_A_WEIGHT = {"none": 2.0, "fp8": 1.0, "int8": 1.0, "nf4": 0.55}


@dataclass(frozen=True)
class ReadingTime:
    """Of `rows` test rows, read by `systems` models one after the other."""

    rows: int
    systems: int
    seconds: float

    def to_json(self) -> dict:
        return {"rows": self.rows, "systems": self.systems, "seconds": round(self.seconds, 1)}


def reading_time_on_gpu(
    sizes: Sequence[RowSize], rows: int, work: ModelWork, gpu: Gpu, *, batch_size: int, quantize: str, systems: int = 2
) -> ReadingTime:
    """
    Args:
        sizes: of rows like those that are read; the train rows, say.
        batch_size: rows that are decoded together.
    """
    rate = gpu.tflops * 1e12 * MATMUL_EFFICIENCY
    together = min(batch_size, max(1, rows))
    weights = work.text * BYTES_A_WEIGHT[quantize] / (gpu.bandwidth_gbs * 1e9 * BANDWIDTH_EFFICIENCY)
    step = weights + together * 2 * work.text / (gpu.tflops * 1e12 * DECODE_EFFICIENCY) + STEP_OVERHEAD_S
    prompts = mean(work.reading(size) - 2 * work.text * size.answer for size in sizes) / rate
    each = prompts + mean(size.answer for size in sizes) * step / together
    return ReadingTime(rows, systems, systems * rows * each)
