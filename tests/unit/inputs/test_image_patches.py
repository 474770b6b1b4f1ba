import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from tests.unit.data.pictures import noise
from texlens.core.errors import DataError
from texlens.data.geometry import ImageGeometry
from texlens.inputs.image_patches import image_to_patches

HALF = (0.5, 0.5, 0.5)


def stock(image: Image.Image, geometry: ImageGeometry):
    processor = Qwen2VLImageProcessorPil(
        patch_size=geometry.patch_size,
        merge_size=geometry.merge_size,
        temporal_patch_size=geometry.temporal_patch_size,
        size={"shortest_edge": geometry.min_pixels, "longest_edge": geometry.max_pixels},
        image_mean=list(geometry.mean),
        image_std=list(geometry.std),
    )
    created = processor(image, return_tensors="np")
    return created["pixel_values"], tuple(created["image_grid_thw"][0])


def check_equal(image: Image.Image, geometry: ImageGeometry):
    expected, expected_grid = stock(image, geometry)
    patches, grid = image_to_patches(image.convert("RGB"), geometry)
    assert grid == expected_grid
    assert patches.dtype == expected.dtype == np.float32
    np.testing.assert_array_equal(patches, expected)


@settings(deadline=None, max_examples=80)
@given(
    width=st.integers(3, 400),
    height=st.integers(3, 400),
    patch=st.sampled_from([8, 14, 16]),
    mode=st.sampled_from(["RGB", "L"]),
    statistics=st.sampled_from([(HALF, HALF), (tuple(OPENAI_CLIP_MEAN), tuple(OPENAI_CLIP_STD))]),
    seed=st.integers(0, 9),
)
def test_patches_are_those_of_the_stock_processor_to_the_last_bit(width, height, patch, mode, statistics, seed):
    geometry = ImageGeometry(patch, 2, 2, 3_136, 60_000, mean=statistics[0], std=statistics[1])
    check_equal(noise(width, height, seed, mode), geometry)


@pytest.mark.parametrize(("patch", "size"), [(8, (160, 64)), (14, (168, 56)), (16, (512, 128))])
def test_an_image_that_needs_no_resizing_keeps_its_pixels(patch, size):
    geometry = ImageGeometry(patch, 2, 2, 1, 1_000_000)
    image = noise(*size)
    check_equal(image, geometry)
    patches, _ = image_to_patches(image, geometry)
    first = np.asarray(image)[:patch, :patch, 0] / 255
    np.testing.assert_allclose(patches[0, : patch * patch].reshape(patch, patch) * 0.5 + 0.5, first, atol=1e-6)


def test_patches_are_in_blocks_of_two_by_two_and_frames_repeat():
    pixels = np.zeros((4, 8, 3), np.uint8)
    for row in range(4):
        for column in range(8):
            pixels[row, column] = 8 * row + column
    geometry = ImageGeometry(1, 2, 2, 1, 1_000, mean=(0, 0, 0), std=(1 / 255,) * 3)
    patches, grid = image_to_patches(Image.fromarray(pixels), geometry)
    assert grid == (1, 4, 8)
    assert patches.shape == (32, 6)
    assert np.rint(patches[:8, 0]).tolist() == [0, 1, 8, 9, 2, 3, 10, 11]
    assert np.rint(patches[3]).tolist() == [9] * 6


def test_a_ribbon_is_rejected_rather_than_squeezed():
    with pytest.raises(DataError, match="over 200 times"):
        image_to_patches(noise(805, 4), ImageGeometry(16))
