"""`nf4`: 4-bit NormalFloat in blocks of 64 with double quantization, as bitsandbytes stores it (Dettmers et al. 2023,
arXiv:2305.14314, section 3). Stock transformers loads it; vLLM 0.33 has
no bitsandbytes loader any more."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from texlens.exporting.formats.protocol import ExportJob, Tolerance
from texlens.exporting.formats.quantized import QuantizedFormat
from texlens.exporting.quantization.bitsandbytes import base_settings
from texlens.exporting.quantization.codec import Codec, require_package

BLOCK = 64
"""Weights that share a scale. bitsandbytes computes on a CPU only with layers whose inputs are whole blocks."""


def build_codec(job: ExportJob, merged: Path, layers: Sequence[str]) -> tuple[Codec, Mapping[str, Tensor]]:
    version = require_package("bitsandbytes", "bitsandbytes", "nf4")
    return Codec(
        _encode, _settings, {"method": "NF4, double quantization", "block": BLOCK, "bitsandbytes": version}
    ), {}


def _encode(layer: str, weight: Tensor) -> Mapping[str, Tensor]:
    from bitsandbytes.functional import quantize_4bit

    packed, state = quantize_4bit(weight.contiguous(), blocksize=BLOCK, compress_statistics=True, quant_type="nf4")
    statistics = {f"weight.{name}": tensor for name, tensor in state.as_dict(packed=True).items()}
    return {"weight": packed, **statistics}


def _settings(unquantized: Sequence[str]) -> dict[str, Any]:
    return {
        **base_settings(unquantized),
        "load_in_4bit": True,
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": True,
        "bnb_4bit_compute_dtype": "bfloat16",
    }


NF4 = QuantizedFormat(
    name="nf4",
    summary="4-bit NormalFloat by bitsandbytes: transformers",
    tolerance=Tolerance(kl_nats=0.25, edit_similarity=0.05),
    size_ratio=0.27,
    build_codec=build_codec,
    is_served_elsewhere=False,
    input_multiple=BLOCK,
)
