"""A decoding step as CUDA graphs over a few batch sizes; on other devices the step as it is.

# B = rows of a batch size
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from texlens.inference.engine.step_results import StepKind, StepOutput

SIZES = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512)
"""Batch sizes that have a graph; a step runs as the smallest that holds its rows."""

_WARM_UPS = 2
"""Eager steps before a graph is recorded: kernels compile, and libraries allocate their work space."""

Step = Callable[[Tensor, StepKind], StepOutput]
"""(slots int64 [B], kind) to the step's output."""


class StepGraphs:
    """
    Args:
        step: must wait for nothing and read nothing but the slots' state.
        slots: the slot after the last one takes the rows that fill a batch up.
    """

    def __init__(self, step: Step, slots: int, device: torch.device):
        self._step, self._padding, self._device = step, slots, device
        self._graphs: dict[tuple[int, StepKind], tuple[torch.cuda.CUDAGraph, Tensor, StepOutput]] = {}
        self._last: dict[tuple[int, StepKind], list[int]] = {}
        self._pool: tuple[int, int] | None = None

    def run(self, slots: Sequence[int], kind: StepKind) -> StepOutput:
        """One token for each slot. On a GPU the output is overwritten by the next run."""
        if self._device.type != "cuda":
            return self._step(torch.tensor(slots, device=self._device), kind)
        size = next((size for size in SIZES if size >= len(slots)), len(slots))
        padded = [*slots, *[self._padding] * (size - len(slots))]
        key = size, kind
        if key not in self._graphs:
            self._graphs[key] = self._recorded(size, kind)
        graph, slots_B, output = self._graphs[key]
        if self._last.get(key) != padded:
            slots_B.copy_(torch.tensor(padded).pin_memory(), non_blocking=True)
            self._last[key] = padded
        graph.replay()
        return output

    def _recorded(self, size: int, kind: StepKind) -> tuple[torch.cuda.CUDAGraph, Tensor, StepOutput]:
        """A graph of this size; its warm-up runs on the padding slot alone."""
        slots_B = torch.full((size,), self._padding, dtype=torch.int64, device=self._device)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                self._step(slots_B, kind)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            output = self._step(slots_B, kind)
        self._pool = self._pool or graph.pool()
        return graph, slots_B, output
