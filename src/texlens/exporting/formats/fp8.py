"""`fp8`: e4m3 weights with a scale per output, in the layout of compressed-tensors; activations are scaled per token at
run time."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from texlens.exporting.formats.protocol import ExportJob, Tolerance
from texlens.exporting.formats.quantized import QuantizedFormat
from texlens.exporting.quantization.codec import Codec, require_package
from texlens.exporting.quantization.compressed_tensors import PACKAGE, quantization_config

MAX_FP8 = 448.0
"""The largest number of float8_e4m3fn."""
WEIGHTS = {"num_bits": 8, "type": "float", "symmetric": True, "strategy": "channel", "dynamic": False}
ACTIVATIONS = {"num_bits": 8, "type": "float", "symmetric": True, "strategy": "token", "dynamic": True}


def build_codec(job: ExportJob, merged: Path, layers: Sequence[str]) -> tuple[Codec, Mapping[str, Tensor]]:
    version = require_package(*PACKAGE, "fp8")
    notes = {"method": "fp8 (e4m3), a scale per output, inputs scaled per token", "compressed-tensors": version}
    codec = Codec(
        _encode,
        lambda unquantized: quantization_config("float-quantized", unquantized, version, WEIGHTS, ACTIVATIONS),
        notes,
    )
    return codec, {}


def _encode(layer: str, weight: Tensor) -> Mapping[str, Tensor]:
    scale = (weight.float().abs().amax(1, keepdim=True) / MAX_FP8).clamp(min=torch.finfo(torch.bfloat16).tiny)
    scale = scale.to(weight.dtype)
    rounded = (weight.float() / scale.float()).clamp(-MAX_FP8, MAX_FP8).to(torch.float8_e4m3fn)
    return {"weight": rounded, "weight_scale": scale}


FP8 = QuantizedFormat(
    name="fp8",
    summary="8-bit floats by compressed-tensors: vLLM, transformers",
    tolerance=Tolerance(kl_nats=0.05, edit_similarity=0.02),
    size_ratio=0.51,
    build_codec=build_codec,
)
