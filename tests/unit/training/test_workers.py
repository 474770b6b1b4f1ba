"""How many workers a GPU has; the tests need no GPU."""

import resource
import sys
import threading
import time
from collections import namedtuple

import pytest
import torch
from torch.utils.data import DataLoader, _utils

from tests.fixtures.drawn_images import drawn
from tests.fixtures.tiny_models import tiny_processor
from texlens.config.load import build_config
from texlens.data.geometry import ImageGeometry
from texlens.data.sample import LazyImage, Sample
from texlens.training import workers
from texlens.training.backends.plain import PlainBackend
from texlens.training.distributed.context import DistributedContext
from texlens.training.workers import (
    WorkerPlan,
    auto_workers,
    end_workers,
    mean_pixel_values,
    plan_workers,
    raise_open_file_limit,
    short_wait_for_workers,
)

GEOMETRY = ImageGeometry(16)
ROWS = [
    Sample("1", LazyImage.from_bytes(drawn(512, 128, 1)), "x"),
    Sample("2", LazyImage.from_bytes(b"not an image"), "y"),
    Sample("3", LazyImage.from_bytes(drawn(512, 256, 2)), "z"),
]
PLAIN = PlainBackend(tiny_processor(), 8, 1)
Disk = namedtuple("Disk", "free")


def settings(**train):
    return build_config({"model": {"path": "nano"}, "data": {"path": "demo"}, "train": {"steps": 1, **train}})


@pytest.fixture
def gpu(monkeypatch, tmp_path):
    monkeypatch.setattr(workers.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(workers.os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(workers, "SHARED_MEMORY", tmp_path)


@pytest.mark.parametrize(
    ("cpus", "shared", "batch", "expected"),
    [(16, 2**34, 2**25, 8), (4, 2**34, 2**25, 3), (1, 2**34, 2**25, 0), (16, 2**26, 2**25, 0), (16, 2**30, 2**25, 5)],
)
def test_workers_are_limited_by_cpus_and_shared_memory(cpus, shared, batch, expected):
    assert auto_workers(cpus, shared, batch) == expected


def test_images_are_measured_after_resizing_and_damaged_ones_are_left_out():
    assert mean_pixel_values(ROWS, GEOMETRY) == 3 * (512 * 128 + 512 * 256) // 2


def test_gpu_has_workers_by_default(gpu, monkeypatch):
    monkeypatch.setattr(workers.shutil, "disk_usage", lambda _: Disk(2**34))
    assert plan_workers(PLAIN, settings(), GEOMETRY, ROWS) == WorkerPlan(8)


def test_processes_of_a_machine_share_its_workers(gpu, monkeypatch):
    monkeypatch.setattr(workers.shutil, "disk_usage", lambda _: Disk(2**34))
    four = DistributedContext(0, 4, 0, 4)
    assert plan_workers(PLAIN, settings(), GEOMETRY, ROWS, four).count == 3
    assert plan_workers(PLAIN, settings(workers=8), GEOMETRY, ROWS, four).count == 2
    assert plan_workers(PLAIN, settings(workers=0), GEOMETRY, ROWS, four).count == 0


def test_container_without_shared_memory_has_no_workers_and_a_note(gpu, monkeypatch):
    monkeypatch.setattr(workers.shutil, "disk_usage", lambda _: Disk(2**26))
    plan = plan_workers(PLAIN, settings(), GEOMETRY, ROWS)
    assert plan.count == 0
    assert "decoded by the training process, which is slower" in str(plan.note)
    assert "64 MiB free" in str(plan.note)


def test_setting_is_used_and_a_cpu_has_none_by_default(monkeypatch):
    monkeypatch.setattr(workers.torch.cuda, "is_available", lambda: False)
    assert plan_workers(PLAIN, settings(workers=3), GEOMETRY, ROWS) == WorkerPlan(3)
    assert plan_workers(PLAIN, settings(), GEOMETRY, ROWS) == WorkerPlan(0)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [((1024, 4096), (4096, 4096)), ((1024, -1), (65_536, -1)), ((100_000, 200_000), None), ((-1, -1), None)],
)
def test_open_file_limit_is_raised_as_far_as_allowed(monkeypatch, limits, expected):
    limits_set = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _, values: limits_set.append(values))
    monkeypatch.setattr(resource, "RLIM_INFINITY", -1)
    raise_open_file_limit()
    assert limits_set == ([] if expected is None else [expected])


def never_end(_: int) -> None:
    threading.Thread(target=time.sleep, args=(60,)).start()


def test_workers_that_never_end_are_ended():
    before = _utils.MP_STATUS_CHECK_INTERVAL
    loader = DataLoader(
        list(range(100)),
        num_workers=2,
        persistent_workers=True,
        worker_init_fn=never_end,
        multiprocessing_context="fork",
    )
    rows = iter(loader)
    assert next(rows) == torch.tensor([0])
    processes = list(rows._workers)
    began = time.monotonic()
    with short_wait_for_workers():
        end_workers(loader)
    assert time.monotonic() - began < 4
    assert before == _utils.MP_STATUS_CHECK_INTERVAL
    for process in processes:
        process.join(20)
        assert not process.is_alive()
    end_workers(loader)


def test_a_loader_without_workers_has_none_to_end():
    end_workers(DataLoader([1]))
