"""What the model reads at each validation: the first validation rows with their pictures, kept in the run folder.

samples/images/000.png   the rows' images, scaled down, written once
samples/00000040.jsonl   readings after step 40, one row each: id, image, reference, text, stop
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from PIL import Image
from transformers.trainer_callback import TrainerCallback

from texlens.core.errors import DataError
from texlens.core.files import write_text
from texlens.data.sample import Sample
from texlens.metrics.prediction import Prediction

MAX_SIDE = 640
"""Pixels of a picture's longer side."""


class Readings(Protocol):
    """The validation rows, and the predictions of the last validation."""

    @property
    def samples(self) -> Sequence[Sample]: ...

    @property
    def predictions(self) -> Sequence[Prediction]: ...


class SampleReadings(TrainerCallback):
    """Writes the first `count` rows after each validation; a resumed training drops those of later steps."""

    def __init__(self, folder: Path, readings: Readings, count: int):
        self.folder, self.readings, self.count = folder, readings, count

    def on_train_begin(self, args, state, control, **kwargs):
        if state.is_world_process_zero:
            for path in self.folder.glob("*.jsonl"):
                if path.stem.isdecimal() and int(path.stem) > state.global_step:
                    path.unlink()

    def on_evaluate(self, args, state, control, **kwargs):
        if not state.is_world_process_zero or not self.readings.predictions:
            return
        samples = self.readings.samples[: self.count]
        predictions = {prediction.id: prediction for prediction in self.readings.predictions}
        rows = [
            {"image": image, **predictions[sample.id].to_row()}
            for sample, image in zip(samples, self._images(samples), strict=True)
            if sample.id in predictions
        ]
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        write_text(self.folder / f"{state.global_step:08}.jsonl", lines)

    def _images(self, samples: Sequence[Sample]) -> list[str | None]:
        """Their names; None for one that can't be decoded."""
        return [self._image(number, sample) for number, sample in enumerate(samples)]

    def _image(self, number: int, sample: Sample) -> str | None:
        path = self.folder / "images" / f"{number:03}.png"
        if not path.exists():
            try:
                _save(sample.image.load(), path)
            except DataError:
                return None
        return path.name


def _save(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    aside = path.with_name(f".{path.name}.partial")
    image.save(aside, "PNG")
    os.replace(aside, path)
