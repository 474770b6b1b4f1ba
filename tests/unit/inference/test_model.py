from collections.abc import Iterator

from tests.fixtures.tiny_models import tiny_model
from tests.unit.inference.shared_base import (
    IMAGE,
)
from texlens.data.sample import LazyImage, Sample
from texlens.inference.model import WINDOW_BATCHES
from texlens.inference.open import wrap_model


def test_stream_holds_a_bounded_number_of_samples():
    model, processor = tiny_model()
    loaded = wrap_model(model, processor, prompt="Read this.", max_new_tokens=2)
    taken: list[str] = []

    def samples(count: int) -> Iterator[Sample]:
        for number in range(count):
            taken.append(str(number))
            image = IMAGE if number else b"broken"
            yield Sample(str(number), LazyImage.from_bytes(image, str(number)), "")

    predictions = []
    for prediction in loaded.stream(samples(2 * WINDOW_BATCHES + 1), batch_size=1):
        predictions.append(prediction)
        assert len(taken) <= -(-len(predictions) // WINDOW_BATCHES) * WINDOW_BATCHES

    assert sorted(prediction.id for prediction in predictions) == sorted(taken)
    assert [prediction.id for prediction in predictions if prediction.stop == "failed"] == ["0"]
