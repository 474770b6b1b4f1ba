"""What a vision tower in float8 changes: its features, and what the shipped nano model reads, on the CPU.

    python benchmarks/fp8_tower.py --data LATEX_OCR/human_handwrite [--rows 200] [--write benchmarks/results]

Over test rows of --data, by the plain form of the products. `features` are merged ones, then those for the first
layers: how far they lie from full precision's (length of the difference over their length, all rows together) and at
what angle (mean cosine over image tokens), with the blocks in float8, as `base.quantize_vision` has them, and with the
mergers too. `readings` are of full precision, and with the blocks in float8 under a language model as it is; `same` is
the share of rows that read as in full precision.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch
from result import write_result
from torch import Tensor, nn
from torch.nn import functional

from texlens.config.load import build_config
from texlens.config.run import RunConfig
from texlens.data.sample import Sample
from texlens.inference.open import wrap_model
from texlens.inputs.build import read_split
from texlens.inputs.dataset import ExampleDataset
from texlens.inputs.image_patches import image_to_raw_patches
from texlens.inputs.packed_collator import PackCollator
from texlens.metrics.registry import run_metrics
from texlens.metrics.scores import totals
from texlens.models.build import BaseCheckpoint, build_base, build_model
from texlens.models.fp8 import Fp8Linear, quantizable_vision_layers
from texlens.models.packed.forward import pack_spec, packed_forward

BUDGET = 4096
READINGS = {"full precision": (), "blocks": ("blocks",)}


def main() -> None:
    options = _options()
    config = build_config({"model": {"path": "nano"}, "data": {"path": options.data, "checks": {"images": "headers"}}})
    base = build_base(config.model)
    rows = read_split(config.data, "test", limit=options.rows)
    samples = [rows[index] for index in range(len(rows))]
    report = {"rows": len(samples), "features": features(base, config, samples), "readings": {}}
    print(report["features"], flush=True)
    first: list[str] = []
    for name, parts in READINGS.items():
        began = time.monotonic()
        model = tower_in_fp8(base, config, parts)
        predictions = wrap_model(model, base.processor, prompt=config.data.prompt, max_new_tokens=512).read(samples)
        texts = [prediction.text for prediction in predictions]
        first = first or texts
        scores = totals(predictions, run_metrics(["exact_match", "edit_similarity"]))
        same = statistics.fmean(text == other for text, other in zip(texts, first, strict=True))
        report["readings"][name] = {
            **{metric: round(value, 4) for metric, value in scores.items()},
            "same": round(same, 4),
            "seconds": round(time.monotonic() - began, 1),
        }
        print(name, report["readings"][name], flush=True)
    if options.write:
        command = " ".join(["python", "benchmarks/fp8_tower.py", "--data", Path(options.data).name, *sys.argv[3:]])
        write_result(Path(options.write), "fp8 tower", command, ("torch", "transformers"), report)


def features(base: BaseCheckpoint, config: RunConfig, samples: list[Sample]) -> dict:
    processor = base.processor
    tools = processor.tokenizer, processor.geometry
    made_of = ExampleDataset(samples, *tools, prompt=config.data.prompt, patchify=image_to_raw_patches)
    examples = [made_of[index] for index in range(len(made_of))]
    features_by_parts = []
    for parts in ((), ("blocks",), ("blocks", "mergers")):
        model = tower_in_fp8(base, config, parts)
        forward = packed_forward(model, processor.geometry)
        packs = PackCollator(pack_spec(model.config, processor), BUDGET)(examples)["packs"]
        with torch.no_grad():
            features_by_parts.append(
                [torch.cat(part) for part in zip(*(forward.image_features(pack) for pack in packs), strict=True)]
            )
    exact, blocks, mergers = features_by_parts
    return {"blocks": compared(blocks, exact), "blocks and mergers": compared(mergers, exact)}


def compared(rounded: list[Tensor], exact: list[Tensor]) -> list[dict]:
    return [
        {
            "relative": round(((approximate - expected).norm() / expected.norm()).item(), 5),
            "cosine": round(functional.cosine_similarity(approximate, expected, -1).mean().item(), 6),
        }
        for approximate, expected in zip(rounded, exact, strict=True)
    ]


def tower_in_fp8(base: BaseCheckpoint, config: RunConfig, parts: tuple[str, ...]) -> Any:
    """The model with the tower's layers in float8 where `parts` has its blocks, and those of its mergers too."""
    model: Any = build_model(base, config.model)
    names = quantizable_vision_layers(model) if "blocks" in parts else []
    if "mergers" in parts:
        named = model.named_modules()
        names += [name for name, part in named if type(part) is nn.Linear and "merger" in name]
    for name in names:
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, Fp8Linear(model.get_submodule(name)))
    return model


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="a folder of parquet with a test split")
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--write", help="a folder for the result")
    return parser.parse_args()


if __name__ == "__main__":
    main()
