"""Calibration on the task: the run's own train rows, images and answers, read by the merged model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from rich.console import Console
from torch import Tensor

from texlens.config.run import RunConfig
from texlens.core.errors import ExportError
from texlens.exporting.quantization.calibration import Batch, calibrate
from texlens.exporting.quantization.codec import Codec, require_package
from texlens.exporting.quantization.compressed_tensors import PACKAGE, int4_codec
from texlens.exporting.shards import DTYPES, FLOATS, read_shard
from texlens.inputs.build import read_split
from texlens.inputs.example import build_example
from texlens.inputs.padded_collator import Collator
from texlens.inputs.row_check import check_rows
from texlens.models.checkpoint import weight_files
from texlens.models.load import load_model
from texlens.models.processor import Processor


@dataclass(frozen=True)
class CalibrationData:
    """The first `rows` readable train rows of the run, in the order of its seed."""

    config: RunConfig
    processor: Processor
    rows: int

    @property
    def source(self) -> str:
        data = self.config.data
        return " / ".join(part for part in (data.path, data.subset, "train") if part)


def calibrated_codec(
    method: Literal["gptq", "awq"],
    description: str,
    merged: Path,
    layers: Sequence[str],
    data: CalibrationData,
    console: Console,
) -> tuple[Codec, Mapping[str, Tensor]]:
    """The codec of the rounded layers, and the other parameters that changed.

    Raises:
        ExportError: a missing package, no readable row, or layers that no group size divides.
    """
    require_package(*PACKAGE, method)
    settings = data.config.model
    model = load_model(merged, device=settings.device, dtype=settings.dtype)
    batches = _batches(data, next(model.parameters()).device)
    console.print(f"calibrating {method} on {len(batches)} rows of train")
    result = calibrate(
        model,
        batches,
        layers,
        method,
        scale_dtype=_stored_dtype(merged),
        on_progress=lambda done, total: console.print(f"  {done} of {total} blocks") if done == total else None,
    )
    notes = {"method": description, "calibration rows": len(batches), "calibration data": data.source}
    return int4_codec(result.scales, result.codes, result.group_size, notes), result.rescaled


def _batches(data: CalibrationData, device: torch.device) -> list[Batch]:
    """One row per batch, so that there is no padding."""
    config, processor = data.config, data.processor
    rows = read_split(config.data, "train").draw(limit=data.rows, seed=config.train.seed)
    readable = check_rows(rows, processor.geometry, processor.tokenizer, decode=True).usable
    if not len(readable):
        raise ExportError(f"{config.data.path}: no train row can be read, and calibration needs some; check data.path")
    collate = Collator(processor.pad_token_id, processor.image_token_id)
    batches: list[Batch] = []
    for sample in readable:
        example = build_example(
            sample,
            processor.tokenizer,
            processor.geometry,
            config.data.prompt,
            config.data.system_prompt,
            pixels=True,
        )
        tensors = {name: value for name, value in collate([example]).items() if isinstance(value, Tensor)}
        batches.append({name: tensor.to(device) for name, tensor in tensors.items() if name != "labels"})
    return batches


def _stored_dtype(folder: Path) -> torch.dtype:
    """The type of most of the checkpoint's weights."""
    sizes: dict[str, int] = {}
    for path in weight_files(folder):
        for stored in read_shard(path)[0]:
            if stored.dtype in FLOATS:
                sizes[stored.dtype] = sizes.get(stored.dtype, 0) + stored.nbytes
    return DTYPES[max(sizes, key=lambda name: sizes[name])]
