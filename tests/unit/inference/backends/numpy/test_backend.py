"""The numpy backend against the transformers backend."""

import pytest

from tests.fixtures.drawn_images import drawn
from tests.unit.inference.backends.numpy.nano import FORMULAS, samples_of
from texlens.core.errors import ConfigError
from texlens.data.sample import LazyImage, Sample
from texlens.inference.decoding.sampling import Sampling
from texlens.latex.render.formats import render_png


def test_texts_and_log_probabilities_equal_those_of_transformers(numpy_model, torch_model):
    samples = samples_of([*map(render_png, FORMULAS), drawn(300, 40), drawn(60, 120)])
    sampling = Sampling(40)
    expected = torch_model.read(samples, sampling=sampling)
    predictions = numpy_model.read(samples, sampling=sampling)

    assert [row.text for row in predictions] == [row.text for row in expected]
    assert [(row.stop, row.tokens) for row in predictions] == [(row.stop, row.tokens) for row in expected]
    assert [row.log_probability for row in predictions] == pytest.approx(
        [row.log_probability for row in expected], abs=2e-3
    )


def test_text_is_reported_token_by_token(numpy_model):
    texts = []
    samples = samples_of([render_png(FORMULAS[0])])
    (prediction,) = numpy_model.generate(samples, on_token=lambda _, text: texts.append(text))

    assert len(texts) > 5
    assert "".join(texts) == prediction.text


def test_damaged_image_gives_a_failed_prediction(numpy_model):
    (prediction,) = numpy_model.read([Sample("x", LazyImage.from_bytes(b"no image", "x.png"), "")])

    assert prediction.stop == "failed"
    assert prediction.error.startswith("x.png: ")


def test_sampling_that_is_not_greedy_is_refused(numpy_model):
    with pytest.raises(ConfigError, match="backend='transformers'"):
        numpy_model.read(samples_of([drawn(60, 60)]), sampling=Sampling(4, 0.5))
