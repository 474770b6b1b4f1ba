import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from texlens.core.errors import ConfigError, DataError
from texlens.data.geometry import ImageGeometry

QWEN3 = ImageGeometry(16, 2, 2, 65_536, 16_777_216)


def test_a_small_formula_is_scaled_up_to_the_floor_of_qwen3():
    assert QWEN3.resized(200, 50) == (512, 128)
    assert QWEN3.grid(200, 50) == (1, 8, 32)
    assert QWEN3.tokens(200, 50) == 64


def test_an_image_that_fits_keeps_its_size():
    assert QWEN3.resized(512, 256) == (512, 256)
    assert QWEN3.tokens(512, 256) == 128


@settings(deadline=None, max_examples=300)
@given(
    width=st.integers(1, 5000),
    height=st.integers(1, 5000),
    patch=st.sampled_from([8, 14, 16]),
    budget=st.sampled_from([(1, 4_096), (3_136, 1_003_520), (65_536, 16_777_216), (200_704, 200_704)]),
)
def test_sizes_are_those_of_the_stock_processor(width, height, patch, budget):
    geometry = ImageGeometry(patch, 2, 2, *budget)
    if max(width, height) / min(width, height) > 200:
        with pytest.raises(DataError, match=f"{width}x{height}"):
            geometry.resized(width, height)
        return
    high, new_width = smart_resize(height, width, factor=patch * 2, min_pixels=budget[0], max_pixels=budget[1])
    assert geometry.resized(width, height) == (new_width, high)
    assert geometry.tokens(width, height) == new_width * high // (patch * 2) ** 2


def test_an_aspect_ratio_over_the_limit_is_named_with_the_limit():
    with pytest.raises(DataError, match=r"2010x10 pixels: the long side is over 200 times the short one; pad or crop"):
        QWEN3.resized(2010, 10)
    assert QWEN3.resized(2000, 10)[1] == 32


@pytest.mark.parametrize(("low", "high"), [(100_000, 50_000), (1, 1_000)])
def test_an_impossible_pixel_budget_is_rejected(low, high):
    with pytest.raises(ConfigError, match="max_pixels"):
        ImageGeometry(16, 2, 2, low, high)
