"""The forward pass in NumPy."""

import torch

from tests.unit.inference.backends.numpy.nano import FORMULAS, samples_of
from texlens.data.sample import LazyImage, Sample
from texlens.latex.render.formats import render_png


def test_next_token_logits_equal_those_of_transformers(numpy_model, torch_model):
    samples = [*samples_of([render_png(FORMULAS[0])]), Sample("broken", LazyImage.from_bytes(b"no image"), "")]
    logits = numpy_model.next_token_logits(samples)

    assert torch.allclose(logits[0], torch_model.next_token_logits(samples)[0], atol=1e-3)
    assert logits[1].isnan().all()
