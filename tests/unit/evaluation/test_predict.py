import os
from collections.abc import Iterator, Sequence

from rich.console import Console

from texlens.config.evaluate import EvaluateSettings
from texlens.data.sample import LazyImage, Sample
from texlens.evaluation.predict import read_samples
from texlens.metrics.prediction import Prediction


class Reversed:
    """A system that reads the last row first."""

    def generate(self, samples: Sequence[Sample], **options: object) -> Iterator[Prediction]:
        for sample in reversed(samples):
            yield Prediction(sample.id, sample.text, sample.text)


def test_predictions_come_in_the_order_of_the_rows():
    samples = [Sample(name, LazyImage.from_bytes(b""), name) for name in "bac"]
    with open(os.devnull, "w") as file:
        predictions = read_samples(Reversed(), samples, "reversed", EvaluateSettings(), Console(file=file))  # pyrefly: ignore
    assert [prediction.id for prediction in predictions] == ["b", "a", "c"]
