"""What the benchmarks of single kernels share: compiling every cut side by side, timing a call, measuring its error.

Importing this finds the device without opening it, so that processes can still be forked from this one.
"""

import argparse
import functools
import json
import math
import multiprocessing
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
import triton

os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")  # looking for a GPU must not open it before the fork
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
DTYPE = torch.bfloat16 if DEVICE == "cuda" else torch.float32
RUNS = 20
Cut = TypeVar("Cut")


def compile_side_by_side(jobs: Sequence[Any], run: Callable[[Any], None], limit_s: int) -> None:
    """Every cut run in processes of their own, into Triton's cache; what fails is tried again as it is timed."""
    pool = multiprocessing.get_context("fork").Pool(min(14, os.cpu_count() or 1))
    try:
        failures = pool.map_async(functools.partial(_failure, run), jobs, chunksize=1).get(timeout=limit_s)
    except multiprocessing.TimeoutError:
        print(f"compiling side by side took over {limit_s} s; the rest is compiled as it is run")
        failures = []
    finally:
        pool.terminate()
        pool.join()
    reasons = [reason for reason in failures if reason]
    print(f"{len(failures) - len(reasons)} of {len(jobs)} cuts compiled side by side {reasons[:1] or ''}", flush=True)


def _failure(run: Callable[[Any], None], job: Any) -> str | None:
    try:
        run(job)
        torch.cuda.synchronize()
    except Exception as error:  # noqa: BLE001  reported in the table
        return error_text(error)
    return None


def options_of(description: str | None) -> argparse.ArgumentParser:
    """The options of all of them; `description` is the script's docstring."""
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("--output")
    parser.add_argument("--tiny", action="store_true")
    return parser


def described() -> dict[str, Any]:
    """A report's head. It opens the GPU: nothing is compiled side by side after it."""
    return {
        "command": " ".join(["python", *sys.argv]),
        "device": torch.cuda.get_device_name() if DEVICE == "cuda" else platform.machine(),
        "torch": torch.__version__,
        "triton": triton.__version__,
    }


def save(report: dict[str, Any], path: str | None) -> None:
    if path:
        Path(path).write_text(json.dumps(report, indent=1) + "\n")


def used_first(used: Cut, cuts: Sequence[Cut]) -> list[Cut]:
    return [used, *(cut for cut in cuts if cut != used)]


def median_ms(call: Callable[[], Any]) -> float:
    """The GPU's milliseconds for a call, without its launches; on a CPU those of one call."""
    if DEVICE == "cpu":
        began = time.perf_counter()
        call()
        return 1e3 * (time.perf_counter() - began)
    for _ in range(3):
        call()
    torch.cuda._sleep(20_000_000)  # some 10 ms, in which the calls below are queued: no launch is waited for
    events = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(RUNS)]
    for start, end in events:
        start.record()
        call()
        end.record()
    torch.cuda.synchronize()
    return statistics.median(start.elapsed_time(end) for start, end in events)


def off(actual: Sequence[torch.Tensor], expected: Sequence[torch.Tensor]) -> float:
    """The largest of the errors, each a norm over the norm of what is expected."""
    errors = [_norm_off(tensor.float(), other.float()) for tensor, other in zip(actual, expected, strict=True)]
    return math.nan if any(map(math.isnan, errors)) else round(max(errors), 6)


def _norm_off(actual: torch.Tensor, expected: torch.Tensor) -> float:
    return float((actual - expected).norm() / expected.norm())


def error_text(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
