"""`int8`: 8-bit rows, activations quantized at run time, as bitsandbytes stores them (Dettmers et al. 2022,
arXiv:2208.07339, section 3). Stock transformers loads it; vLLM 0.33 has
no bitsandbytes loader any more."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from texlens.exporting.formats.protocol import ExportJob, Tolerance
from texlens.exporting.formats.quantized import QuantizedFormat
from texlens.exporting.quantization.bitsandbytes import base_settings
from texlens.exporting.quantization.codec import Codec, require_package


def build_codec(job: ExportJob, merged: Path, layers: Sequence[str]) -> tuple[Codec, Mapping[str, Tensor]]:
    version = require_package("bitsandbytes", "bitsandbytes", "int8")
    return Codec(_encode, _settings, {"method": "LLM.int8()", "bitsandbytes": version}), {}


def _encode(layer: str, weight: Tensor) -> Mapping[str, Tensor]:
    from bitsandbytes.functional import int8_vectorwise_quant

    rows, scales, _ = int8_vectorwise_quant(weight.to(torch.float16).contiguous())
    return {"weight": rows, "SCB": scales, "weight_format": torch.tensor(0, dtype=torch.uint8)}


def _settings(unquantized: Sequence[str]) -> dict[str, Any]:
    return {**base_settings(unquantized), "load_in_8bit": True, "llm_int8_threshold": 6.0}


INT8 = QuantizedFormat(
    name="int8",
    summary="8-bit rows by bitsandbytes: transformers",
    tolerance=Tolerance(kl_nats=0.05, edit_similarity=0.02),
    size_ratio=0.51,
    build_codec=build_codec,
    is_served_elsewhere=False,
)
