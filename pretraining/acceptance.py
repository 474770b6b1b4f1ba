"""How well a reader reads generated print that pre-training never saw.

python -m pretraining.acceptance LATEX_OCR_FOLDER [--random-share 1.0] [--count 500] [--seed 1]
"""

import argparse
import io
import json
from pathlib import Path

from pretraining.corpus import TrainingImages
from pretraining.nano_config import labels
from texlens.data.sample import LazyImage, Sample
from texlens.inference.open import open_model
from texlens.metrics.scores import score


def held_out_samples(latex_ocr: Path, count: int, seed: int, random_share: float) -> list[Sample]:
    """Formulas whose labels the pre-training rejects, as PNG; `random_share` of them are of random symbols."""
    samples = []
    for number, (image, label) in enumerate(TrainingImages(labels(latex_ocr)).held_out(count, seed, random_share)):
        file = io.BytesIO()
        image.save(file, "PNG")
        samples.append(Sample(str(number), LazyImage.from_bytes(file.getvalue()), label))
    return samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("latex_ocr", type=Path)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--random-share", type=float, default=1.0)
    args = parser.parse_args()
    samples = held_out_samples(args.latex_ocr, args.count, args.seed, args.random_share)
    print(json.dumps(score(open_model(args.model).read(samples, batch_size=32)).to_json(), indent=2))


if __name__ == "__main__":
    main()
