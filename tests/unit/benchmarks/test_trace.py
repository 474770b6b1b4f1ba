"""What `fast_path.py --trace` makes of a profiler's events."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

from fast_path import by_kernel


def event(name, start, lasts, kind="kernel"):
    return {"cat": kind, "name": name, "ts": start, "dur": lasts}


def test_a_trace_lists_kernels_and_idle_time_a_step():
    events = [event("b", 7000, 1000), event("a", 0, 4000), event("a", 3000, 2000), event("host", 0, 99_000, "cpu_op")]
    assert by_kernel(events, 2).splitlines() == [
        "a step 4.0 ms, of it idle 1.0 ms",
        "    3.000 ms     1.0 x a",
        "    0.500 ms     0.5 x b",
    ]
