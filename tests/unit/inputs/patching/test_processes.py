"""Images patched in processes compared with the same in this one."""

import time

import numpy as np
import pytest

from tests.fixtures.drawn_images import drawn
from texlens.core.errors import DataError
from texlens.data.geometry import ImageGeometry
from texlens.data.lazy_image import LazyImage
from texlens.inputs.image_patches import image_to_raw_patches
from texlens.inputs.patching.processes import PatchProcesses

GEOMETRY = ImageGeometry(patch_size=4, merge_size=2, min_pixels=64)


def images(count):
    return [LazyImage.from_bytes(drawn(90, 40, seed=seed), f"row {seed}") for seed in range(count)]


@pytest.fixture
def processes():
    with PatchProcesses(2, start_after=0) as pool:
        image = images(1)[0]
        deadline = time.monotonic() + 60
        while pool.ready < 2 and time.monotonic() < deadline:
            pool.patches(image, GEOMETRY)
        yield pool


def test_patches_equal_those_of_this_process(processes):
    for image in images(5):
        patches, grid = processes.patches(image, GEOMETRY)
        expected, expected_grid = image_to_raw_patches(image.load(), GEOMETRY)
        assert np.array_equal(patches, expected)
        assert grid == expected_grid


def test_an_images_own_pixel_budget_is_kept(processes):
    image = LazyImage(images(1)[0].read, "row", max_pixels=800)
    assert processes.patches(image, GEOMETRY)[1] == image_to_raw_patches(image.load(), GEOMETRY)[1]


@pytest.mark.parametrize("data", [b"no image", drawn(400, 40, seed=0)[:200]])
def test_a_damaged_image_is_reported_as_in_this_process(processes, data):
    image = LazyImage.from_bytes(data, "broken.png")
    with pytest.raises(DataError, match=r"broken\.png") as ours:
        processes.patches(image, GEOMETRY)
    with pytest.raises(DataError) as expected:
        image.load()
    assert str(ours.value) == str(expected.value)
    assert processes.patches(images(1)[0], GEOMETRY)[0].size


def test_a_process_that_ends_is_replaced(processes):
    for process in processes._processes:
        process._process.kill()
        process._process.wait()
    for _ in range(2):
        with pytest.raises(DataError, match="ended the process"):
            processes.patches(images(1)[0], GEOMETRY)
    for _ in range(2):
        assert processes.patches(images(1)[0], GEOMETRY)[0].size


def test_few_images_start_no_process():
    with PatchProcesses(2) as pool:
        assert pool.patches(images(1)[0], GEOMETRY)[0].size
        assert not pool._processes
