import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from tests.unit.data.pictures import png
from tests.unit.data.tables import write_parquet
from texlens.core.errors import ConfigError, DataError
from texlens.data.geometry import ImageGeometry
from texlens.data.load import load_split
from texlens.data.resolution import Sizes, plan_budget, plan_resolution, read_sizes
from texlens.models.families import FAMILIES
from texlens.models.preprocessor import geometry_of, preprocessor_config

QWEN3 = geometry_of({"model_type": "qwen3_vl"})


@pytest.mark.parametrize("model_type", FAMILIES)
@settings(deadline=None, max_examples=12)
@given(width=st.integers(1, 700), height=st.integers(1, 300), budget=st.sampled_from([None, (1_024, 40_000)]))
def test_tokens_are_those_of_the_stock_processor(model_type, width, height, budget):
    if max(width, height) > 200 * min(width, height):
        return
    low, high = budget or (None, None)
    geometry = geometry_of({"model_type": model_type}, min_pixels=low, max_pixels=high)
    stock = Qwen2VLImageProcessorPil(**preprocessor_config(geometry, FAMILIES[model_type]))
    grid = np.asarray(stock(Image.new("RGB", (width, height)), return_tensors="np")["image_grid_thw"])[0]
    plan = plan_budget(Sizes([((width, height),)], [10]), geometry, 1_000)
    assert plan.image_tokens == grid.prod() // 4


def test_a_budget_reports_tokens_scale_distortion_and_share():
    sizes = Sizes([((200, 50),), ((512, 128), (512, 128))], [36, 44])
    plan = plan_budget(sizes, QWEN3, 1_000)
    assert (plan.images, plan.image_tokens, plan.scaled_up, plan.scaled_down) == (3, 192, 1, 0)
    assert (plan.tokens.low, plan.tokens.largest) == (64, 64)
    assert plan.scale.largest == pytest.approx(2.56)
    assert plan.distortion.largest == pytest.approx(0)
    assert plan.context_share.low == pytest.approx(0.1)
    assert plan.context_share.largest == pytest.approx(0.172)
    assert sum(plan.tokens.counts) == 3


def test_ribbons_and_rows_that_do_not_fit_are_counted():
    plan = plan_budget(Sizes([((9_000, 10),), ((200, 50),)], [5, 990]), QWEN3, 1_000)
    assert (plan.images, plan.rejected, plan.over_context) == (1, 1, 1)
    only_ribbons = plan_budget(Sizes([((9_000, 10),)], [5]), QWEN3, 1_000)
    assert (only_ribbons.images, only_ribbons.image_tokens) == (0, 0)


def test_the_recommended_floor_is_the_smallest_that_keeps_lines_tall_and_shapes_straight():
    plan = plan_resolution(Sizes([((320, 40),)] * 100, [50] * 100), QWEN3, context=4_096).recommended.plan
    assert plan.heights.low >= 64
    assert plan.distortion.high <= 0.25
    assert plan.min_pixels < 65_536
    smaller = plan_budget(Sizes([((320, 40),)], [50]), ImageGeometry(16, min_pixels=plan.min_pixels * 3 // 4), 4_096)
    assert smaller.heights.low < 64 or smaller.distortion.high > 0.25


def test_the_recommended_ceiling_scales_one_in_a_hundred_down():
    sizes = Sizes([((320, 64),)] * 990 + [((2_000, 2_000),)] * 10, [50] * 1_000)
    plan = plan_resolution(sizes, QWEN3, context=32_768).recommended.plan
    assert plan.scaled_down == 10
    assert plan.max_pixels < 100_000


def test_the_ceiling_leaves_room_for_the_texts():
    plan = plan_resolution(Sizes([((4_000, 4_000),)], [500]), QWEN3, context=1_000).recommended.plan
    assert plan.over_context == 0
    assert plan.max_pixels <= 500 * 32**2
    with pytest.raises(ConfigError, match="raise --context"):
        plan_resolution(Sizes([((400, 400),)], [500]), QWEN3, context=400)


def test_headers_alone_are_read_and_rows_without_one_are_counted(tmp_path):
    file = write_parquet(tmp_path / "train.parquet", ["x", "y", "z"], [png(64, 32), png(200, 100)[:900], b"no"])
    sizes = read_sizes([load_split(str(file))])
    assert sizes.images == [((64, 32),), ((200, 100),)]
    assert sizes.unreadable == 1


def test_no_image_at_all_is_an_error():
    with pytest.raises(DataError, match="texlens data validate"):
        plan_resolution(Sizes([], [], 3), QWEN3, context=4_096)
