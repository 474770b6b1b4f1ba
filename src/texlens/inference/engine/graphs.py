"""Steps and small prefills as CUDA graphs over a few sizes; on other devices, and for large packs, as they are.

# B = rows of a batch size
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from texlens.inference.engine.step_results import StepKind, StepOutput

SIZES = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512)
"""Batch sizes that have a graph; a step runs as the smallest that holds its rows."""

_WARM_UPS = 2
"""Eager runs before a graph is recorded: kernels compile, and libraries allocate their work space."""

STEPS_BEFORE_A_SMALLER = 16
"""Steps of a size that run as a larger one that is recorded already, before the size gets a graph of its own: rows that
leave or join pass through many sizes, and recording takes as long as some ten steps."""
PREFILLS_BEFORE_A_GRAPH = 2
"""Prefills of a shape that run as they are, before it gets a graph: bulk reading has few that are alike."""

Step = Callable[[Tensor, StepKind], StepOutput]
"""(slots int64 [B], kind) to the step's output."""


class PrefillKind(NamedTuple):
    """What a prefill takes besides tensors: the kind of its first step, versions of the vision tower, the longest
    segment, and numbers for the vision tower by name."""

    step: StepKind
    versions: tuple[str | None, ...]
    longest: int
    numbers: tuple[tuple[str, int], ...]


Prefill = Callable[[Mapping[str, Tensor], PrefillKind], StepOutput]
"""(tensors by name, kind) to the output of the first step."""


class GraphPool:
    """Memory that all graphs of an engine share: one of them runs at a time."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._stream: Any = None

    def record(self, body: Callable[[], StepOutput]) -> tuple[torch.cuda.CUDAGraph, StepOutput]:
        """A graph of the body, which waits for nothing, and its output.

        `torch.cuda.graph` would collect garbage and give all cached memory back first, which takes longer than the rest
        and makes what runs beside it allocate again.
        """
        self._stream = self._stream or torch.cuda.Stream()
        self._stream.wait_stream(torch.cuda.current_stream())
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.stream(self._stream):
            for _ in range(_WARM_UPS):
                body()
            self._stream.synchronize()
            graph.capture_begin(*([self._handle] if self._handle else []), capture_error_mode="thread_local")
            try:
                output = body()
            finally:
                graph.capture_end()
        torch.cuda.current_stream().wait_stream(self._stream)
        self._handle = self._handle or graph.pool()
        return graph, output


class StepGraphs:
    """
    Args:
        step: must wait for nothing and read nothing but the slots' state.
        slots: the slot after the last one takes the rows that fill a batch up.
    """

    def __init__(self, step: Step, slots: int, device: torch.device, pool: GraphPool):
        self._step, self._padding, self._device, self._memory = step, slots, device, pool
        self._graphs: dict[tuple[int, StepKind], tuple[torch.cuda.CUDAGraph, Tensor, StepOutput]] = {}
        self._asked: Counter[tuple[int, StepKind]] = Counter()
        self._last: dict[tuple[int, StepKind], list[int]] = {}

    def clear(self) -> None:
        """Gives the graphs' memory back."""
        self._graphs.clear()

    def size_for(self, rows: int, kind: StepKind) -> int:
        """Rows of the graph that runs: the smallest that holds them, or for some steps one up to twice as large that is
        recorded already."""
        size = next((size for size in SIZES if size >= rows), rows)
        if (size, kind) in self._graphs:
            return size
        self._asked[size, kind] += 1
        larger = [other for other, of_kind in self._graphs if of_kind == kind and size < other <= 2 * size]
        return min(larger) if larger and self._asked[size, kind] <= STEPS_BEFORE_A_SMALLER else size

    def run(self, slots: Sequence[int], kind: StepKind) -> StepOutput:
        """One token for each slot. On a GPU the output is overwritten by the next run."""
        if self._device.type != "cuda":
            return self._step(torch.tensor(slots, device=self._device), kind)
        size = self.size_for(len(slots), kind)
        padded = [*slots, *[self._padding] * (size - len(slots))]
        key = size, kind
        if key not in self._graphs:
            slots_B = torch.full((size,), self._padding, dtype=torch.int64, device=self._device)
            graph, output = self._memory.record(lambda: self._step(slots_B, kind))
            self._graphs[key] = graph, slots_B, output
        graph, slots_B, output = self._graphs[key]
        if self._last.get(key) != padded:
            slots_B.copy_(torch.tensor(padded).pin_memory(), non_blocking=True)
            self._last[key] = padded
        graph.replay()
        return output


class PrefillGraphs:
    """
    Args:
        prefill: must wait for nothing; its first runs, with the inputs that a graph is recorded with, may be repeated.
    """

    def __init__(self, prefill: Prefill, device: torch.device, pool: GraphPool):
        self._prefill, self._device, self._memory = prefill, device, pool
        self._graphs: dict[tuple, tuple[torch.cuda.CUDAGraph, dict[str, Tensor], StepOutput]] = {}
        self._asked: Counter[tuple] = Counter()

    def clear(self) -> None:
        """Gives the graphs' memory back."""
        self._graphs.clear()

    def run(self, inputs: Mapping[str, Tensor], kind: PrefillKind, *, in_graph: bool) -> StepOutput:
        """
        Args:
            inputs: on the host.
            in_graph: the inputs have one of a few shapes, and `prefill` is worth a graph.
        """
        key = kind, *(tuple(value.shape) for value in inputs.values())
        if not in_graph or self._device.type != "cuda" or not self._is_worth_it(key):
            return self._prefill({name: self._moved(value) for name, value in inputs.items()}, kind)
        if key not in self._graphs:
            static = {name: self._moved(value) for name, value in inputs.items()}
            graph, output = self._memory.record(lambda: self._prefill(static, kind))
            self._graphs[key] = graph, static, output
        graph, static, output = self._graphs[key]
        for name, value in inputs.items():
            static[name].copy_(value.pin_memory(), non_blocking=True)
        graph.replay()
        return output

    def _is_worth_it(self, key: tuple) -> bool:
        self._asked[key] += 1
        return key in self._graphs or self._asked[key] > PREFILLS_BEFORE_A_GRAPH

    def _moved(self, value: Tensor) -> Tensor:
        if self._device.type != "cuda":
            return value.to(self._device)
        return value.pin_memory().to(self._device, non_blocking=True)
