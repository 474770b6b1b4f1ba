"""A folder of images, and a reader that needs no weights."""

from dataclasses import replace

import pytest

from tests.unit.data.pictures import png
from texlens.inference.confidence import Calibration
from texlens.inference.model import LoadedModel
from texlens.inputs.chat_template import PromptStyle
from texlens.metrics.prediction import Prediction


class FakeBackend:
    """Reads what `answers` says of an image's name, else `x`; `reads` are the names in their order."""

    reads_streams = False

    def __init__(self, answers=None):
        self.answers, self.reads = answers or {}, []

    def generate(self, samples, **_):
        for sample in samples:
            name = sample.image.where
            self.reads.append(name)
            text, log_probability = self.answers.get(name, ("x", -0.1))
            prediction = Prediction(sample.id, "", text, tokens=1, log_probability=log_probability)
            yield replace(prediction, stop="failed", error="no image") if text is None else prediction


@pytest.fixture
def reader():
    def build(answers=None, calibrated=False):
        calibration = Calibration(2.0, 0.1, 0.05, 50, 40, "here") if calibrated else None
        return LoadedModel("fake", FakeBackend(answers), PromptStyle("Read."), 32, calibration)

    return build


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    for number in range(12):
        name = f"deep/{number}.png" if number % 3 == 0 else f"{number}.png"
        (folder / name).write_bytes(png(40, 20, number))
    return folder
