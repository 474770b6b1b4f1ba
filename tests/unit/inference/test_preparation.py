"""Samples read by a model whose metadata asks for preparation."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from texlens.core.errors import DataError
from texlens.data.sample import LazyImage, Rival, Sample
from texlens.inference.open import open_model
from texlens.inference.preparation import PreparedSample, read_prepared
from texlens.inputs.image_preparation import Preparation
from texlens.latex.render.formats import render_png
from texlens.metrics.prediction import Prediction

FORMULA = render_png("x ^ { 2 } + 1", pixels_per_em=14)


def dark() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(255 - np.asarray(Image.open(io.BytesIO(FORMULA)).convert("L"))).save(buffer, "PNG")
    return buffer.getvalue()


def sample(data: bytes, name: str = "a") -> Sample:
    return Sample(name, LazyImage.from_bytes(data), "reference")


def reader(log_probabilities: dict[bytes, float]):
    """Answers with the name of the image that it got, `plain` or `prepared`."""

    def read(samples: Sequence[Sample]) -> Iterator[Prediction]:
        for sample in samples:
            is_plain = sample.image.encoded() in log_probabilities
            log_probability = log_probabilities.get(sample.image.encoded(), -1.0)
            text = "plain" if is_plain else "prepared"
            yield Prediction(sample.id, "reference", text, tokens=3, log_probability=log_probability)

    return read


def test_a_clean_image_is_read_as_its_own_bytes():
    prepared = PreparedSample(sample(FORMULA), Preparation())
    assert prepared.steps == ()
    assert prepared.sample.image.encoded() == FORMULA


def test_a_dark_image_is_read_inverted_and_the_prediction_says_so():
    [prediction] = read_prepared([sample(dark())], Preparation(), reader({}), twice=False)
    assert (prediction.text, prediction.prepared) == ("prepared", ("inverted",))


@pytest.mark.parametrize(("log_probability", "text"), [(-0.5, "plain"), (-2.0, "prepared")])
def test_of_a_doubtful_reading_the_surer_one_is_kept(log_probability, text):
    [prediction] = read_prepared([sample(dark())], Preparation(), reader({dark(): log_probability}))
    assert prediction.text == text


@pytest.mark.parametrize(("log_probability", "text"), [(-0.5, "plain"), (-2.0, "prepared")])
def test_a_doubtful_clean_image_is_read_with_larger_glyphs_too(log_probability, text):
    preparation = Preparation(second_glyph_px=17.0)
    [prediction] = read_prepared([sample(FORMULA)], preparation, reader({FORMULA: log_probability}))
    assert prediction.text == text
    assert prediction.prepared == (("scaled",) if text == "prepared" else ())


def test_a_sure_reading_and_large_glyphs_have_no_second_view():
    reads = []

    def read(samples):
        reads.append(len(samples))
        return reader({FORMULA: -0.1})(samples)

    list(read_prepared([sample(FORMULA)], Preparation(second_glyph_px=17.0), read))
    assert reads == [1]
    assert PreparedSample(sample(FORMULA), Preparation(second_glyph_px=9.0)).other_view is None
    assert not PreparedSample(sample(FORMULA), Preparation(second_glyph_px=9.0)).has_other_view
    assert PreparedSample(sample(FORMULA), Preparation(second_glyph_px=17.0)).has_other_view
    view = PreparedSample(sample(FORMULA), Preparation(second_glyph_px=17.0)).other_view
    assert view.image.load().width > 1.5 * Image.open(io.BytesIO(FORMULA)).width


@pytest.mark.parametrize(("stop", "rival"), [("end", Rival("x", -2.0)), ("loop", None)])
def test_the_second_reading_may_end_where_the_first_is_surer(stop, rival):
    rivals = []

    def read(samples):
        for sample in samples:
            rivals.append(sample.rival)
            yield Prediction(sample.id, "", "x", stop=stop, log_probability=-2.0)

    list(read_prepared([sample(dark())], Preparation(), read))
    assert rivals == [None, rival]


@pytest.fixture(scope="module")
def nano():
    return open_model("nano", backend="numpy")


def test_a_bound_ends_a_reading_that_can_not_be_kept_and_changes_no_other(nano):
    row = sample(render_png("x y", pixels_per_em=6))
    rivals = (None, Rival("z", -30.0), Rival("z", 1.0))
    plain = replace(nano, preparation=None)
    free, bound, cut = (plain.read([replace(row, rival=rival)])[0] for rival in rivals)
    assert (bound.text, bound.stop) == (free.text, free.stop)
    assert (cut.stop, cut.tokens) == ("length", 1)


def test_every_sample_comes_back_once():
    samples = [sample(dark(), "a"), sample(FORMULA, "b"), sample(b"no image", "c")]

    def read(samples):
        for sample in samples:
            try:
                sample.image.load()
                yield Prediction(sample.id, "", "text", log_probability=-1.0)
            except DataError as error:
                yield Prediction(sample.id, "", "", stop="failed", error=str(error))

    predictions = list(read_prepared(samples, Preparation(), read))
    assert sorted(prediction.id for prediction in predictions) == ["a", "b", "c"]


def test_the_bundled_model_reads_a_dark_screenshot(nano):
    [prediction] = nano.read([sample(dark())])
    assert (prediction.text, prediction.prepared) == ("x ^ { 2 } + 1", ("inverted",))
