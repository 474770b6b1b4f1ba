"""The shipped model's certainty against what it gets right: generated print and LaTeX_OCR validation rows.

python -m pretraining.calibration LATEX_OCR_FOLDER [--count 300] [--seed 2]

Writes the fitted temperature into the model's card (texlens.json) and prints it.
"""

import argparse
import json
from pathlib import Path

from pretraining.acceptance import held_out_samples
from texlens.config.data import DataSettings
from texlens.data.sample import Sample
from texlens.inference.open import open_model
from texlens.inputs.build import read_split
from texlens.models.bundled import NANO_FOLDER
from texlens.workflows.calibrate import calibration_of, note_calibration


def rows(latex_ocr: Path, count: int, seed: int) -> list[Sample]:
    """As many generated as real ones; half of the generated ones are of random symbols."""
    settings = DataSettings(path=str(latex_ocr), subset="full")
    real = list(read_split(settings, "validation", limit=count, seed=seed))
    generated = held_out_samples(latex_ocr, count, seed, 0.5)
    return [*real, *(Sample(f"generated-{sample.id}", sample.image, sample.text) for sample in generated)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("latex_ocr", type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=2)
    args = parser.parse_args()
    predictions = open_model().read(rows(args.latex_ocr, args.count, args.seed), batch_size=32)
    calibration = calibration_of(predictions, "LaTeX_OCR full validation and generated print")
    note_calibration(NANO_FOLDER, calibration)
    print(json.dumps(calibration.to_json(), indent=2))


if __name__ == "__main__":
    main()
