"""Calibration on the task: the run's own train rows, images and answers, read by the merged model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from rich.console import Console
from torch import Tensor

from texlens.config.run import RunConfig
from texlens.core.errors import ExportError
from texlens.export.calibration import Batch, calibrate
from texlens.export.codec import Codec, require_package
from texlens.export.compressed import int4_codec
from texlens.export.shards import DTYPES, FLOATS, read_shard
from texlens.inputs.build import read_split
from texlens.inputs.example import build_example
from texlens.inputs.padded_collator import Collator
from texlens.inputs.row_check import check_rows
from texlens.models.checkpoint import weight_files
from texlens.models.load import load_model
from texlens.models.processor import Processor

METHODS = {
    "gptq": "GPTQ: 4-bit codes, errors made good by later columns",
    "awq": "AWQ: columns rescaled by the size of their inputs, then rounded to 4 bits",
}


def calibrated_codec(
    method: Literal["gptq", "awq"] | str,
    merged: Path,
    layers: list[str],
    config: RunConfig,
    processor: Processor,
    *,
    rows: int,
    console: Console,
) -> tuple[Codec, Mapping[str, Tensor]]:
    """The codec of the rounded layers, and the other parameters that changed."""
    require_package("compressed-tensors", "compressed_tensors", method)
    model = load_model(merged, device=config.model.device, dtype=config.model.dtype)
    batches = _batches(config, processor, rows, next(model.parameters()).device)
    console.print(f"calibrating {method} on {len(batches)} rows of train")
    made = calibrate(
        model,
        batches,
        layers,
        "awq" if method == "awq" else "gptq",
        like=_stored_dtype(merged),
        on_progress=lambda done, total: console.print(f"  {done} of {total} blocks") if done == total else None,
    )
    told = {
        "method": METHODS[method],
        "calibration rows": len(batches),
        "calibration data": " / ".join(part for part in (config.data.path, config.data.subset, "train") if part),
    }
    return int4_codec(made.scales, made.codes, made.group, told), made.rescaled


def _batches(config: RunConfig, processor: Processor, rows: int, device: torch.device) -> list[Batch]:
    """One row a batch, so that there is no padding to learn from."""
    drawn = read_split(config.data, "train").draw(limit=rows, seed=config.train.seed)
    kept = check_rows(drawn, processor.geometry, processor.tokenizer, decode=True).usable
    if not len(kept):
        raise ExportError(f"{config.data.path}: no train row can be read, and calibration needs some; check data.path")
    collate = Collator(processor.pad_token_id, processor.image_token_id)
    batches: list[Batch] = []
    for sample in kept:
        example = build_example(
            sample,
            processor.tokenizer,
            processor.geometry,
            config.data.prompt,
            config.data.system_prompt,
            pixels=True,
        )
        batch = collate([example])
        batches.append(
            {name: part.to(device) for name, part in batch.items() if isinstance(part, Tensor) and name != "labels"}
        )
    return batches


def _stored_dtype(folder: Path) -> torch.dtype:
    """The type of most of the checkpoint's weights."""
    sizes: dict[str, int] = {}
    for path in weight_files(folder):
        for stored in read_shard(path)[0]:
            if stored.dtype in FLOATS:
                sizes[stored.dtype] = sizes.get(stored.dtype, 0) + stored.end - stored.begin
    return DTYPES[max(sizes, key=lambda name: sizes[name])]
