"""`OnnxRows` over sessions that record what they are given; real ones are in tests/integration/test_onnx_export.py."""

import numpy as np
import pytest
from PIL import Image

from tests.fixtures.tiny_models import tiny_processor
from texlens.core.errors import DataError
from texlens.data.sample import LazyImage, Sample
from texlens.inference.backends.onnx.backend import OnnxRows
from texlens.inputs.chat_template import PromptStyle


class FakeSessions:
    vocabulary_size = 4

    def encode(self, pixels):
        self.pixels = pixels
        return np.zeros((1, 1, 1), np.float32)

    def prefill(self, ids, positions, features):
        self.ids, self.positions = ids, positions
        return np.arange(4, dtype=np.float32)

    def step(self, token, position):
        self.stepped = (token, position)
        return np.arange(4, dtype=np.float32)


def sample(image: Image.Image, **more) -> Sample:
    path_free = LazyImage(lambda: _png(image), "formula.png")
    return Sample("1", path_free, "x", **more)


def _png(image: Image.Image) -> bytes:
    import io

    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def rows() -> OnnxRows:
    return OnnxRows(FakeSessions(), tiny_processor("qwen3_vl"), context_tokens=1000)


def test_the_image_is_resized_and_its_tokens_are_placed(rows):
    rows.prefill(sample(Image.new("RGB", (100, 40))), PromptStyle("Read."))
    factor = rows.processor.geometry.factor
    height, width, _ = rows.sessions.pixels.shape
    assert height % factor == width % factor == 0
    image_tokens = rows.sessions.ids.count(rows.processor.image_token_id)
    assert image_tokens == height * width // factor**2
    assert rows.sessions.positions.shape == (3, len(rows.sessions.ids))


def test_steps_continue_after_the_prompts_last_position(rows):
    rows.prefill(sample(Image.new("RGB", (100, 40))), PromptStyle("Read."))
    last = rows.sessions.positions.max()
    rows.step(7)
    rows.step(8)
    assert rows.sessions.stepped == (8, last + 2)


def test_a_context_is_full_after_its_tokens(rows):
    rows.prefill(sample(Image.new("RGB", (100, 40))), PromptStyle("Read."))
    rows.context_tokens = len(rows.sessions.ids) + 1
    assert not rows.is_full
    rows.step(7)
    assert rows.is_full


def test_a_row_of_two_images_is_refused(rows):
    image = sample(Image.new("RGB", (100, 40))).image
    with pytest.raises(DataError, match="reads one image and one question"):
        rows.prefill(sample(Image.new("RGB", (100, 40)), more_images=(image,)), PromptStyle("Read."))
