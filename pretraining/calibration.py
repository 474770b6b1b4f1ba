"""The shipped model's certainty against what it gets right, on a mixture of everything that it reads.

python -m pretraining.calibration LATEX_OCR_FOLDER [--extras FOLDER] [--photographs FOLDER] [--count 150] [--seed 2]

Rows: LaTeX_OCR validation, as many images of the second pre-training with held-out labels (print, fonts, rare commands,
lines, handwriting, disturbed), and cuts of photographs of other things, whose readings are never right. Writes
temperature and the probability of a formula into the model's card (texlens.json) and prints them.
"""

import argparse
import io
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as parquet
from PIL import Image

from pretraining.sampler import TRAIN_ROWS
from pretraining.wide.fonts import register
from pretraining.wide.mixture import WideImages
from texlens.config.data import DataSettings
from texlens.data.sample import LazyImage, Sample
from texlens.inference.confidence import Calibration, fit_formula
from texlens.inference.open import open_model
from texlens.inputs.build import read_split
from texlens.metrics.prediction import Prediction
from texlens.models.bundled import NANO_FOLDER
from texlens.workflows.calibrate import calibration_of, store_calibration

MEASURED_ON = "LaTeX_OCR full validation, held-out labels of the wide mixture, photographs"
NO_FORMULA = "photograph"


def rows(latex_ocr: Path, extras: Path | None, photographs: Path | None, count: int, seed: int) -> list[Sample]:
    """`count` real rows, `count` of the mixture, a third as many photographs; ids begin with their kind."""
    settings = DataSettings(path=str(latex_ocr), subset="full")
    real = list(read_split(settings, "validation", limit=count, seed=seed))
    rng = random.Random(f"calibration {seed}")
    train = parquet.read_table(latex_ocr / TRAIN_ROWS).to_pylist()
    images = WideImages(train, register(extras / "fonts" if extras else None), None)
    mixed = [_sample(f"mixture-{n}", *pair) for n, pair in enumerate(images.held_out(rng, "wide", count))]
    files = sorted(photographs.glob("*.[pj][np]g")) if photographs else []
    cuts = [_sample(f"{NO_FORMULA}-{n}", cut, "") for n, cut in enumerate(photograph_cuts(files, count // 3, rng))]
    return [*real, *mixed, *cuts]


def photograph_cuts(files: Sequence[Path], count: int, rng: random.Random) -> Iterator[Image.Image]:
    """Rectangles of every other file, of a quarter to all of its width."""
    for number in range(count if files else 0):
        picture = Image.open(files[::2][number % len(files[::2])]).convert("L")
        width = max(16, int(picture.width * rng.uniform(0.25, 1)))
        height = max(16, min(picture.height, int(width * rng.uniform(0.2, 0.9))))
        left, top = rng.randint(0, picture.width - width), rng.randint(0, picture.height - height)
        cut = picture.crop((left, top, left + width, top + height))
        yield cut.resize((max(32, width // 2), max(32, height // 2))) if width > 300 else cut


def _sample(name: str, image: Image.Image, label: str) -> Sample:
    file = io.BytesIO()
    image.save(file, "PNG")
    return Sample(name, LazyImage.from_bytes(file.getvalue(), name), label)


def calibrated(predictions: Sequence[Prediction]) -> Calibration:
    """The temperature of all rows, and the regression of formulas on other images where there are any."""
    calibration = calibration_of([_never_right(row) for row in predictions], MEASURED_ON)
    kinds: dict[bool, list[float]] = {True: [], False: []}
    for row in predictions:
        if row.log_probability is not None:
            kinds[not row.id.startswith(NO_FORMULA)].append(row.log_probability / max(row.tokens, 1))
    if not kinds[False]:
        return calibration
    bias, weight = fit_formula(kinds[True], kinds[False])
    return replace(calibration, formula_bias=round(bias, 4), formula_weight=round(weight, 4))


def _never_right(row: Prediction) -> Prediction:
    return replace(row, reference="\\text{no formula}") if row.id.startswith(NO_FORMULA) else row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("latex_ocr", type=Path)
    parser.add_argument("--extras", type=Path)
    parser.add_argument("--photographs", type=Path)
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("--seed", type=int, default=2)
    args = parser.parse_args()
    samples = rows(args.latex_ocr, args.extras, args.photographs, args.count, args.seed)
    calibration = calibrated(open_model().read(samples, batch_size=32))
    store_calibration(NANO_FOLDER, calibration)
    print(json.dumps(calibration.to_json(), indent=2))


if __name__ == "__main__":
    main()
