import pytest
import torch
from PIL import Image

from tests.fixtures.tiny_models import tiny_model
from texlens.exporting.onnx.image_encoder import OnnxImageEncoder
from texlens.inputs.image_patches import image_to_patches

SIZES = [(1, 1), (1, 3), (4, 2)]
"""Rows and columns of image tokens."""


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen3_vl"])
@pytest.mark.parametrize(("rows", "columns"), SIZES)
def test_features_are_those_of_the_stock_tower(family, rows, columns):
    model, processor = tiny_model(family)
    geometry = processor.geometry
    torch.manual_seed(rows)
    pixels = torch.randint(0, 256, (rows * geometry.factor, columns * geometry.factor, 3), dtype=torch.uint8)
    with torch.no_grad():
        features = OnnxImageEncoder(model.model.visual, processor.family, geometry)(pixels)
        unbounded = geometry.__class__(**{**geometry.__dict__, "min_pixels": 1, "max_pixels": 10**9})
        patches, grid = image_to_patches(Image.fromarray(pixels.numpy()), unbounded)
        stock = model.model.visual(torch.from_numpy(patches), grid_thw=torch.tensor([grid]))
    torch.testing.assert_close(features[0], stock.pooler_output, atol=1e-5, rtol=1e-5)
    deepstack = getattr(stock, "deepstack_features", None) or []
    assert len(features) == 1 + len(deepstack)
    for actual, expected in zip(features[1:], deepstack, strict=True):
        torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)
