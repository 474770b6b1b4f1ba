"""Where the time and the memory of a GRPO step go: what `grpo_gpu.py` measures in steps that it does not time.

Phases wait for the GPU at their ends, so their sum is a little more than an undisturbed step. `memory` lists what is in
memory at the step's peak, by the innermost line of the project that allocated it; `before the step` is what was there
when it began (weights, adapters, the optimizer, the engine's cache).
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

GIB = 2**30
METHODS = {"_groups": "advantages", "_packs": "packs", "_with_start": "start", "_update": "updates"}
"""Of the objective, and the names of their phases."""
SHOWN = 16
"""Lines of the memory list."""


class Phases:
    """Measures phases between `begin` and `end`, and nothing outside.

    Args:
        objective: a `PolicyObjective`, whose methods are wrapped.
    """

    def __init__(self, objective: Any):
        self.steps: list[dict[str, dict[str, float]]] = []
        self.memory: dict[str, float] | None = None
        self._on, self._recording = False, False
        self._began = 0.0
        sampler = objective.maker.sampler
        sampler.draw = self._measured("reading", sampler.draw)
        objective.maker = _Callable(objective.maker, self._measured("reading and rewards", objective.maker))
        for method, name in METHODS.items():
            setattr(objective, method, self._measured(name, getattr(objective, method)))

    def begin(self, *, record_memory: bool = False) -> None:
        self._on, self._began = True, time.perf_counter()
        self.steps.append({})
        if record_memory and torch.cuda.is_available():
            self._recording = True
            self._at_begin = torch.cuda.memory_allocated()
            torch.cuda.memory._record_memory_history(max_entries=1_000_000, stacks="python")

    def end(self) -> None:
        self.steps[-1]["whole"] = {"seconds": round(time.perf_counter() - self._began, 3)}
        self._on = False
        if self._recording:
            (trace,) = [events for events in torch.cuda.memory._snapshot()["device_traces"] if events]
            torch.cuda.memory._record_memory_history(enabled=None)
            self.memory = at_peak(trace, self._at_begin)
            self._recording = False

    def _measured(self, name: str, function: Callable) -> Callable:
        def measured(*args, **kwargs):
            if not self._on:
                return function(*args, **kwargs)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
                torch.cuda.reset_peak_memory_stats()
            began = time.perf_counter()
            result = function(*args, **kwargs)
            row = self.steps[-1].setdefault(name, {"seconds": 0.0, "peak_gib": 0.0})
            if torch.cuda.is_available():
                torch.cuda.synchronize()
                peak = round(torch.cuda.max_memory_allocated() / GIB, 2)
                row["peak_gib"] = max(row["peak_gib"], peak)
            row["seconds"] = round(row["seconds"] + time.perf_counter() - began, 3)
            return result

        return measured


class _Callable:
    """`maker`, called through `function`."""

    def __init__(self, maker: Any, function: Callable):
        self._maker, self._function = maker, function

    def __call__(self, *args, **kwargs):
        return self._function(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._maker, name)


def at_peak(trace: Sequence[Mapping[str, Any]], before: int) -> dict[str, float]:
    """GiB in memory at the trace's peak, by the line that allocated it, the largest first.

    Args:
        trace: events of the allocator, in order.
        before: bytes in memory when the trace began.
    """
    live: dict[int, tuple[int, str]] = {}
    total = highest = 0
    peak = Counter()
    for event in trace:
        address, size = event.get("addr"), event["size"]
        if event["action"] == "alloc":
            live[address] = size, line_of(event.get("frames", ()))
            total += size
        elif event["action"] == "free_completed":
            total -= size
            live.pop(address, None)
        if total > highest + GIB // 64:
            highest, peak = total, _by_line(live)
    rows = {"before the step": before / GIB, "peak": (before + highest) / GIB}
    return {name: round(value, 3) for name, value in rows.items()} | {
        line: round(size / GIB, 3) for line, size in peak.most_common(SHOWN)
    }


def _by_line(live: Mapping[int, tuple[int, str]]) -> Counter:
    sizes: Counter = Counter()
    for size, line in live.values():
        sizes[line] += size
    return sizes


def line_of(frames: Sequence[Mapping[str, Any]]) -> str:
    """The innermost frame in the project, and what it called; frames are innermost first."""
    for number, frame in enumerate(frames):
        if "texlens" in frame["filename"]:
            file = frame["filename"].rsplit("texlens/", 1)[-1]
            inner = f" < {frames[number - 1]['name']}" if number else ""
            return f"{file}:{frame['line']} {frame['name']}{inner}"
    return f"{frames[0]['filename']}:{frames[0]['line']}" if frames else "unknown"
