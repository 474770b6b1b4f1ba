"""The forward pass in NumPy."""

import pytest
import torch

from texlens.data.sample import LazyImage, Sample
from texlens.inference.model import LoadedModel
from texlens.inference.open import open_model
from texlens.latex.render.formats import render_png

FORMULAS = (
    r"\frac { a } { b } + \sqrt { y _ { 1 } }",
    r"\sum _ { i = 1 } ^ { n } x _ { i } \leq \operatorname { s i n } z",
    "2",
)


def samples_of(images) -> list[Sample]:
    return [Sample(str(row), LazyImage.from_bytes(image), "") for row, image in enumerate(images)]


@pytest.fixture(scope="module")
def numpy_model() -> LoadedModel:
    return open_model("nano", backend="numpy")


@pytest.fixture(scope="module")
def torch_model() -> LoadedModel:
    return open_model("nano", device="cpu", dtype="float32")


def test_next_token_logits_equal_those_of_transformers(numpy_model, torch_model):
    samples = [*samples_of([render_png(FORMULAS[0])]), Sample("broken", LazyImage.from_bytes(b"no image"), "")]
    logits = numpy_model.next_token_logits(samples)

    assert torch.allclose(logits[0], torch_model.next_token_logits(samples)[0], atol=1e-3)
    assert logits[1].isnan().all()
