"""How many processes decode images ahead of a GPU."""

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import _utils as loader_constants

from texlens.config.run import RunConfig
from texlens.core.errors import DataError
from texlens.data.geometry import ImageGeometry
from texlens.data.sample import Sample
from texlens.training.backends.protocol import StepBackend
from texlens.training.distributed.context import SINGLE_PROCESS, DistributedContext

MAX_WORKERS = 8
BATCHES_PER_WORKER = 3
"""Batches of a worker that may wait in shared memory: two prefetched and the one being made."""
SAMPLE_SIZE = 64
SHARED_MEMORY = Path("/dev/shm")
WORKER_END_S = 0.25
"""How long each worker may take to end by itself, in seconds."""
OPEN_FILES = 65_536
"""A tensor in shared memory is an open file until it is read, and a batch of packs has hundreds."""


@dataclass(frozen=True)
class WorkerPlan:
    """`note` says why a GPU has no workers."""

    count: int
    note: str | None = None


def plan_workers(
    backend: StepBackend,
    config: RunConfig,
    geometry: ImageGeometry,
    rows: Sequence[Sample],
    context: DistributedContext = SINGLE_PROCESS,
) -> WorkerPlan:
    """The workers that `train.workers` asks for; processes of a machine share its CPUs, shared memory and workers."""
    setting = config.train.workers
    raise_open_file_limit()
    if setting != "auto":
        return WorkerPlan(context.per_process(setting))
    if not torch.cuda.is_available() or sys.platform != "linux":
        return WorkerPlan(0)
    shared_bytes = shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else 0
    row_bytes = backend.bytes_per_pixel_value(geometry) * mean_pixel_values(rows, geometry)
    batch_bytes = -(-backend.rows_per_batch // context.world_size) * row_bytes
    cpus = context.per_process(len(os.sched_getaffinity(0)))
    count = auto_workers(cpus, shared_bytes // context.local_world_size, batch_bytes)
    if count:
        return WorkerPlan(count)
    return WorkerPlan(
        0,
        f"images are decoded by the training process, which is slower, because {SHARED_MEMORY} has "
        f"{shared_bytes >> 20:,} MiB free or there is one CPU; give the container more (--shm-size 8g), or set "
        "train.workers",
    )


def auto_workers(cpus: int, shared_bytes: int, batch_bytes: int) -> int:
    """All CPUs but one, at most `MAX_WORKERS`, and at most what half of the shared memory has room for.

    Example:
        auto_workers(16, 16 * 2**30, 40 * 2**20) -> 8;  auto_workers(16, 64 * 2**20, 40 * 2**20) -> 0
    """
    return max(0, min(MAX_WORKERS, cpus - 1, shared_bytes // (2 * BATCHES_PER_WORKER * max(batch_bytes, 1))))


def raise_open_file_limit() -> None:
    """Raises this process's limit of open files, often 1,024, as far as it may; Linux only."""
    if sys.platform != "linux":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


@contextmanager
def short_wait_for_workers() -> Iterator[None]:
    """In a training: workers of a loader that is no longer needed get `WORKER_END_S` each before they are ended.

    PyTorch gives each 5 s, one after the other. Workers of a process with a CUDA context were seen never to end by
    themselves: 8 took 40 s after the last step (on an H200, torch 2.11, Python 3.12). They hold nothing that has to be
    kept.
    """
    before = loader_constants.MP_STATUS_CHECK_INTERVAL
    loader_constants.MP_STATUS_CHECK_INTERVAL = WORKER_END_S
    try:
        yield
    finally:
        loader_constants.MP_STATUS_CHECK_INTERVAL = before


def end_workers(loader: Any) -> None:
    """Ends the workers that a `DataLoader`, or accelerate's wrapper of one, keeps between epochs."""
    loader = getattr(loader, "base_dataloader", loader)
    iterator, loader._iterator = getattr(loader, "_iterator", None), None
    if iterator is not None:
        iterator._shutdown_workers()


def mean_pixel_values(rows: Sequence[Sample], geometry: ImageGeometry) -> int:
    """Values (three a pixel) of a row's resized images, the mean over a sample of rows, from image headers."""
    pixels, measured = 0, 0
    for index in range(0, len(rows), max(1, len(rows) // SAMPLE_SIZE)):
        try:
            sizes = [geometry.resized(*image.size) for image in rows[index].images]
        except DataError:
            continue
        pixels, measured = pixels + sum(width * height for width, height in sizes), measured + 1
    return pixels * 3 // max(measured, 1)
