"""How many processes decode images ahead of a GPU."""

import os
import resource
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from texlens.config.run import RunConfig
from texlens.core.errors import DataError
from texlens.data.geometry import ImageGeometry
from texlens.data.sample import Sample
from texlens.train.backends.engine import Engine
from texlens.train.distributed.context import ALONE, Processes

MOST = 8
AHEAD = 3
"""Batches of a worker that may wait in shared memory: two made ahead and the one in hand."""
SAMPLE_SIZE = 64
SHARED = Path("/dev/shm")
OPEN_FILES = 65_536
"""A tensor in shared memory is an open file until it is read, and a batch of packs has hundreds."""


def with_workers(
    engine: Engine,
    config: RunConfig,
    geometry: ImageGeometry,
    rows: Sequence[Sample],
    processes: Processes = ALONE,
) -> Engine:
    """The engine with the workers that `train.workers` asks for, and a note where a GPU has to do without.

    Processes on a machine share its processors, its shared memory, and the workers asked for.
    """
    asked = config.train.workers
    if sys.platform == "linux":
        allow_open_files()
    if asked != "auto" or not torch.cuda.is_available() or sys.platform != "linux":
        return replace(engine, workers=0 if asked == "auto" else processes.share(asked))
    shared = shutil.disk_usage(SHARED).free if SHARED.is_dir() else 0
    number = 1 if engine.forward is not None else 4 * geometry.temporal_patch_size
    step = -(-engine.rows // processes.count) * number * mean_numbers(rows, geometry)
    processors = len(os.sched_getaffinity(0))
    chosen = auto_workers(processes.share(processors), shared // processes.local_count, step)
    if chosen:
        return replace(engine, workers=chosen)
    note = (
        f"images are decoded by the training process, which is slower, since {SHARED} has {shared >> 20:,} MiB free or "
        "there is one processor; give the container more (--shm-size 8g), or set train.workers"
    )
    return replace(engine, notes=(*engine.notes, note))


def auto_workers(processors: int, shared_bytes: int, batch_bytes: int) -> int:
    """All processors but one, at most `MOST`, and no more than half of the shared memory has room for.

    Example:
        auto_workers(16, 16 * 2**30, 40 * 2**20) -> 8;  auto_workers(16, 64 * 2**20, 40 * 2**20) -> 0
    """
    return max(0, min(MOST, processors - 1, shared_bytes // (2 * AHEAD * max(batch_bytes, 1))))


def allow_open_files() -> None:
    """Raises this process's limit, often 1,024, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def mean_numbers(rows: Sequence[Sample], geometry: ImageGeometry) -> int:
    """Of a row's images as they are scaled, three for each pixel, from the headers of some rows."""
    pixels, seen = 0, 0
    for index in range(0, len(rows), max(1, len(rows) // SAMPLE_SIZE)):
        try:
            sizes = [geometry.resized(*image.size) for image in rows[index].images]
        except DataError:
            continue
        pixels, seen = pixels + sum(wide * high for wide, high in sizes), seen + 1
    return pixels * 3 // max(seen, 1)
