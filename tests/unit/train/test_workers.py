"""How many workers a GPU gets; no GPU is needed to ask."""

import sys
from collections import namedtuple
from dataclasses import replace

import pytest

from tests.fixtures.drawn_images import drawn
from texlens.config.load import build_config
from texlens.data.geometry import ImageGeometry
from texlens.data.sample import LazyImage, Sample
from texlens.inputs.image_patches import image_to_raw_patches
from texlens.train import workers
from texlens.train.backends.engine import Engine
from texlens.train.distributed.context import Processes
from texlens.train.workers import allow_open_files, auto_workers, mean_numbers, with_workers

GEOMETRY = ImageGeometry(16)
ROWS = [
    Sample("1", LazyImage.from_bytes(drawn(512, 128, 1)), "x"),
    Sample("2", LazyImage.from_bytes(b"not an image"), "y"),
    Sample("3", LazyImage.from_bytes(drawn(512, 256, 2)), "z"),
]
PLAIN = Engine("plain", 8, 1, image_to_raw_patches)
Disk = namedtuple("Disk", "free")


def settings(**train):
    return build_config({"model": {"path": "nano"}, "data": {"path": "demo"}, "train": {"steps": 1, **train}})


@pytest.fixture
def gpu(monkeypatch, tmp_path):
    monkeypatch.setattr(workers.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(workers.os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(workers, "SHARED", tmp_path)


@pytest.mark.parametrize(
    ("processors", "shared", "batch", "expected"),
    [(16, 2**34, 2**25, 8), (4, 2**34, 2**25, 3), (1, 2**34, 2**25, 0), (16, 2**26, 2**25, 0), (16, 2**30, 2**25, 5)],
)
def test_workers_are_as_many_as_processors_and_shared_memory_allow(processors, shared, batch, expected):
    assert auto_workers(processors, shared, batch) == expected


def test_images_are_measured_as_they_are_scaled_and_damaged_ones_left_out():
    assert mean_numbers(ROWS, GEOMETRY) == 3 * (512 * 128 + 512 * 256) // 2


def test_a_gpu_gets_workers_by_itself(gpu, monkeypatch):
    monkeypatch.setattr(workers.shutil, "disk_usage", lambda _: Disk(2**34))
    assert with_workers(PLAIN, settings(), GEOMETRY, ROWS).workers == 8


def test_processes_of_a_machine_share_its_workers(gpu, monkeypatch):
    monkeypatch.setattr(workers.shutil, "disk_usage", lambda _: Disk(2**34))
    four = Processes(0, 4, 0, 4)
    assert with_workers(PLAIN, settings(), GEOMETRY, ROWS, four).workers == 3
    assert with_workers(PLAIN, settings(workers=8), GEOMETRY, ROWS, four).workers == 2
    assert with_workers(PLAIN, settings(workers=0), GEOMETRY, ROWS, four).workers == 0


def test_a_container_without_shared_memory_is_told(gpu, monkeypatch):
    monkeypatch.setattr(workers.shutil, "disk_usage", lambda _: Disk(2**26))
    chosen = with_workers(PLAIN, settings(), GEOMETRY, ROWS)
    assert chosen.workers == 0
    assert "decoded by the training process, which is slower" in chosen.notes[0]
    assert "64 MiB free" in chosen.notes[0]


def test_what_is_asked_for_is_taken_and_a_cpu_has_none_by_itself(monkeypatch):
    monkeypatch.setattr(workers.torch.cuda, "is_available", lambda: False)
    assert with_workers(PLAIN, settings(workers=3), GEOMETRY, ROWS) == replace(PLAIN, workers=3)
    assert with_workers(PLAIN, settings(), GEOMETRY, ROWS) == PLAIN


@pytest.mark.parametrize(
    ("limits", "expected"),
    [((1024, 4096), (4096, 4096)), ((1024, -1), (65_536, -1)), ((100_000, 200_000), None), ((-1, -1), None)],
)
def test_as_many_files_as_a_batch_has_tensors_may_be_open(monkeypatch, limits, expected):
    was_set = []
    monkeypatch.setattr(workers.resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(workers.resource, "setrlimit", lambda _, values: was_set.append(values))
    monkeypatch.setattr(workers.resource, "RLIM_INFINITY", -1)
    allow_open_files()
    assert was_set == ([] if expected is None else [expected])
