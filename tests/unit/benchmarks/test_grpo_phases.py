"""What is in memory at a step's peak."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

from grpo_phases import at_peak

GIB = 2**30


def event(action, address, gib, line=1):
    frames = [
        {"filename": "torch/nn.py", "line": 5, "name": "linear"},
        {"filename": "src/texlens/a.py", "line": line, "name": "run"},
    ]
    return {"action": action, "addr": address, "size": gib * GIB, "frames": frames}


def test_memory_at_the_peak_is_listed_by_the_line_that_allocated_it():
    trace = [
        event("alloc", 1, 2, line=10),
        event("alloc", 2, 3, line=20),
        event("free_completed", 1, 2),
        event("alloc", 3, 4, line=20),
        event("free_completed", 2, 3),
        event("alloc", 1, 1, line=10),
    ]
    assert at_peak(trace, 8 * GIB) == {"before the step": 8.0, "peak": 15.0, "a.py:20 run < linear": 7.0}
