"""What a model read from each image: kept in a file by model, added to batch by batch, so that a kill costs one.

Each image is read as the model reads, and a second time in the other view: prepared (dark ink on white paper, even
light, narrow margins) where it was read plain, plain where it was read prepared. A reader that is sure reads both
alike.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from texlens.adapters.lora import adapter_files
from texlens.core.errors import DataError
from texlens.core.files import sha256_of
from texlens.data.sample import Sample
from texlens.inference.bulk.readings_file import ReadingsFile
from texlens.inference.model import LoadedModel
from texlens.inference.open import open_model
from texlens.inference.opening.source import ModelSource, resolve
from texlens.inference.output_formats import reading_row
from texlens.inference.preparation import PreparedSample
from texlens.metrics.prediction import Prediction
from texlens.workflows.learn.images import LearnImage

if TYPE_CHECKING:
    from texlens.inputs.image_preparation import Preparation

BATCH_IMAGES = 16
OnImages = Callable[[int], None]


@dataclass(frozen=True)
class ImageReading:
    """
    Attributes:
        key: of the image.
        text: the formula, without what was around it; "" for an image that could not be read (`error`).
        latex: the same, formatted for people.
        log_probability: of the text, summed over its tokens.
        confidence: calibrated probability that it is right; None without a calibration.
        problem: why the text is no formula; "" where it is one.
        other_view: what was read from the other view of the image; None where both views are the same image.
    """

    key: str
    text: str = ""
    latex: str = ""
    log_probability: float = 0.0
    confidence: float | None = None
    tokens: int = 0
    stop: str = "end"
    problem: str = ""
    error: str = ""
    other_view: str | None = None


class ReadingFile:
    """Readings of one model by image."""

    def __init__(self, folder: Path, identity: str):
        self.path = folder / f"{identity}.jsonl"

    def read(self) -> dict[str, ImageReading]:
        """Those of complete lines.

        Raises:
            DataError: a damaged line.
        """
        if not self.path.is_file():
            return {}
        readings: dict[str, ImageReading] = {}
        for number, line in enumerate(self.path.read_bytes().split(b"\n")[:-1], 1):
            try:
                values = json.loads(line)
                key = values.pop("image")
                readings[key] = ImageReading(key, **values)
            except (ValueError, TypeError, KeyError, RecursionError):
                raise DataError(f"{self.path} line {number}: not a reading; remove the file to read again") from None
        return readings

    def append(self, readings: Iterable[ImageReading]) -> None:
        with ReadingsFile(self.path) as file:
            file.append({"image": reading.key, **_without_key(reading)} for reading in readings)


def identity_of(source: ModelSource) -> str:
    """Changes with the weights that read."""
    adapter = sha256_of(*adapter_files(source.adapter))[:12] if source.adapter else "plain"
    return f"{source.base.fingerprint[:12]}-{adapter}"


def open_reader(model: str) -> tuple[str, Callable[[], LoadedModel]]:
    """The model's identity, and what opens it, which takes long.

    Raises:
        ModelError, RunError: no such model, or a damaged one.
    """
    source = resolve(model)
    return identity_of(source), lambda: open_model(source)


def read_images(
    images: Sequence[LearnImage],
    file: ReadingFile,
    open_reading_model: Callable[[], LoadedModel],
    *,
    batch_size: int = BATCH_IMAGES,
    on_images: OnImages = lambda count: None,
) -> dict[str, ImageReading]:
    """Readings of all the images; those that the file lacks are read and added."""
    known = file.read()
    missing = [image for image in images if image.key not in known]
    if missing:
        model = open_reading_model()
        for first in range(0, len(missing), batch_size):
            batch = missing[first : first + batch_size]
            readings = read_batch(model, batch, batch_size)
            file.append(readings)
            known |= {reading.key: reading for reading in readings}
            on_images(len(batch))
    return {image.key: known[image.key] for image in images}


def read_batch(model: LoadedModel, images: Sequence[LearnImage], batch_size: int = BATCH_IMAGES) -> list[ImageReading]:
    """Each image as the model reads, with what it reads from the other view."""
    samples = [image.sample for image in images]
    predictions = {prediction.id: prediction for prediction in model.generate(samples, batch_size=batch_size)}
    others = {}
    for sample in samples:
        if predictions[sample.id].stop != "failed":
            view = sample if predictions[sample.id].prepared else _prepared(sample, model.preparation)
            others |= {} if view is None else {sample.id: view}
    plain = replace(model, preparation=None)
    texts = (
        {each.id: each.text for each in plain.generate(list(others.values()), batch_size=batch_size)} if others else {}
    )
    return [_reading(model, predictions[sample.id], texts.get(sample.id)) for sample in samples]


def _prepared(sample: Sample, preparation: "Preparation | None") -> Sample | None:
    """The sample with its image prepared; None where there is nothing to prepare. Without a preparation of the model's
    own the size of glyphs stays as it is."""
    from texlens.inputs.image_preparation import KEEP_SIZE

    prepared = PreparedSample(sample, preparation or KEEP_SIZE)
    return prepared.sample if prepared.steps else None


def _reading(model: LoadedModel, prediction: Prediction, other_view: str | None) -> ImageReading:
    row = reading_row(prediction.id, prediction, model.calibration)
    if "error" in row:
        return ImageReading(prediction.id, "", stop=row["stop"], error=row["error"])
    return ImageReading(
        prediction.id,
        row["text"],
        row["latex"],
        row["log_probability"],
        row["confidence"] if model.calibration else None,
        row["tokens"],
        row["stop"],
        row.get("problem", ""),
        other_view=other_view,
    )


def _without_key(reading: ImageReading) -> dict:
    """What a line needs: an empty text of the other view is one, of the other fields it is the default."""
    values = asdict(reading).items()
    return {
        name: value
        for name, value in values
        if name != "key" and value is not None and (value != "" or name == "other_view")
    }
