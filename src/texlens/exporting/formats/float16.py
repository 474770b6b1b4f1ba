"""`merged-float16`: the merged checkpoint with every float tensor rounded once more, to float16 (T4, V100)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from texlens.core.errors import ExportError
from texlens.core.files import write_json
from texlens.exporting.formats.merged import TOLERANCE, MergedFormat, write_merged_checkpoint
from texlens.exporting.formats.protocol import ExportJob, Tolerance
from texlens.models.checkpoint import CONFIG, read_config, weight_files

FLOATS = (torch.bfloat16, torch.float32)


@dataclass(frozen=True)
class Float16Format(MergedFormat):
    name: str = "merged-float16"
    summary: str = "the same in float16: GPUs without bfloat16 (T4, V100)"
    tolerance: Tolerance = TOLERANCE

    def write(self, job: ExportJob) -> Mapping[str, Any]:
        notes = write_merged_checkpoint(job, job.folder)
        for shard in weight_files(job.folder):
            to_float16(shard)
        config = read_config(job.folder)
        write_json(job.folder / CONFIG, {**_with_dtype(config), "torch_dtype": "float16"})
        return {**notes, "rounded to": "float16"}


def to_float16(shard: Path) -> None:
    """Rewrites the bfloat16 and float32 tensors of a safetensors file as float16.

    Raises:
        ExportError: a value is beyond float16's largest, 65,504.
    """
    with safe_open(shard, "pt") as opened:
        metadata = opened.metadata()
    tensors = {name: _half(shard, name, tensor) for name, tensor in load_file(shard).items()}
    save_file(tensors, shard, metadata)


def _half(shard: Path, name: str, tensor: torch.Tensor) -> torch.Tensor:
    if tensor.dtype not in FLOATS:
        return tensor
    rounded = tensor.half()
    if not torch.isfinite(rounded).all():
        raise ExportError(f"{shard.name}: {name} has values that float16 can't hold; export --format merged")
    return rounded


def _with_dtype(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration with float16 wherever it names a type of weights."""
    return {
        key: "float16" if key in ("dtype", "torch_dtype") else _with_dtype(value) if isinstance(value, dict) else value
        for key, value in config.items()
    }


MERGED_FLOAT16 = Float16Format()
