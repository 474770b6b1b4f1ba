"""Images that nano reads a second of one CPU core's processor time: the reference, and the engine on packed weights.

    OMP_NUM_THREADS=1 python benchmarks/nano_cpu.py --images 144 --seed 0 --write benchmarks/results

Formulas of 2 to 8 tokens at 12 pixels an em, as in `benchmarks/reading.py`. The arms take turns, 48 images at a time,
in one process; processor time is that of all its threads. Decoding of images, preparation and second readings are
included.
"""

import argparse
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import torch
from result import write_result

from texlens.data.sample import LazyImage, Sample
from texlens.inference.backends import transformers as backend
from texlens.inference.model import LoadedModel
from texlens.inference.open import open_model
from texlens.latex.generate.random_formulas import RandomFormulas
from texlens.latex.render.formats import render_png

TURN = 48
ENGINE = backend.cpu_engine
ARMS = {"reference, float32": ("highest", False), "engine, float32": ("highest", True)}
ARMS |= {"engine, products in bfloat16": ("medium", True)}


def drawn(count: int, seed: int) -> list[Sample]:
    rng, formulas = random.Random(seed), RandomFormulas()
    pictures = [render_png(formulas.sample(rng, rng.randint(2, 8)), pixels_per_em=12) for _ in range(count)]
    return [Sample(str(number), LazyImage.from_bytes(data, str(number)), "") for number, data in enumerate(pictures)]


def reader(precision: str, *, with_engine: bool) -> Callable[[list[Sample]], tuple[float, list[str]]]:
    """Seconds of processor time and texts of the samples that it is called with."""
    model: LoadedModel = open_model("nano", backend="transformers")

    def read(samples: list[Sample]) -> tuple[float, list[str]]:
        torch.set_float32_matmul_precision(precision)
        backend.cpu_engine = ENGINE if with_engine else lambda *_, **__: None
        began = time.process_time()
        texts = [prediction.text for prediction in model.read(samples)]
        return time.process_time() - began, texts

    return read


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=144)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    samples = drawn(options.images, options.seed)
    readers = {name: reader(precision, with_engine=engine) for name, (precision, engine) in ARMS.items()}
    for read in readers.values():
        read(samples[:TURN])
    seconds, texts = dict.fromkeys(readers, 0.0), {name: [] for name in readers}
    for start in range(0, len(samples), TURN):
        for name, read in readers.items():
            spent, read_texts = read(samples[start : start + TURN])
            seconds[name] += spent
            texts[name] += read_texts
    expected = next(iter(texts.values()))
    figures: dict = {"images": len(samples), "seed": options.seed, "load_average": round(os.getloadavg()[0], 1)}
    for name in readers:
        figures[name] = {
            "images_per_cpu_second": round(len(samples) / seconds[name], 2),
            "equal_texts": sum(ours == theirs for ours, theirs in zip(texts[name], expected, strict=True)),
        }
        print(name, figures[name], flush=True)
    if options.write:
        command = f"OMP_NUM_THREADS=1 python benchmarks/nano_cpu.py --images {options.images} --seed {options.seed}"
        write_result(options.write, "nano-one-core", command, ("torch", "transformers"), figures)


if __name__ == "__main__":
    main()
