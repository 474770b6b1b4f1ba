"""nf4 and int8 as bitsandbytes stores them, so that stock transformers loads the folder and vLLM serves it."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from texlens.export.codec import Codec, require_package
from texlens.models.families import HEAD

BLOCK = 64


def nf4_codec() -> Codec:
    """4-bit NormalFloat with double quantization (Dettmers et al. 2023, arXiv:2305.14314, section 3)."""
    version = require_package("bitsandbytes", "bitsandbytes", "nf4")
    from bitsandbytes.functional import quantize_4bit

    def encode(name: str, weight: Tensor) -> Mapping[str, Tensor]:
        packed, state = quantize_4bit(weight.contiguous(), blocksize=BLOCK, compress_statistics=True, quant_type="nf4")
        return {"weight": packed, **{f"weight.{key}": part for key, part in state.as_dict(packed=True).items()}}

    def settings(kept: Sequence[str]) -> dict[str, Any]:
        return {
            **_settings(kept),
            "load_in_4bit": True,
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_use_double_quant": True,
            "bnb_4bit_compute_dtype": "bfloat16",
        }

    return Codec(encode, settings, {"method": "NF4, double quantization", "block": BLOCK, "bitsandbytes": version})


def int8_codec() -> Codec:
    """8-bit rows with activations quantized on the fly (Dettmers et al. 2022, arXiv:2208.07339, section 3)."""
    version = require_package("bitsandbytes", "bitsandbytes", "int8")
    from bitsandbytes.functional import int8_vectorwise_quant

    def encode(name: str, weight: Tensor) -> Mapping[str, Tensor]:
        rows, scales, _ = int8_vectorwise_quant(weight.to(torch.float16).contiguous())
        return {"weight": rows, "SCB": scales, "weight_format": torch.tensor(0, dtype=torch.uint8)}

    def settings(kept: Sequence[str]) -> dict[str, Any]:
        return {**_settings(kept), "load_in_8bit": True, "llm_int8_threshold": 6.0}

    return Codec(encode, settings, {"method": "LLM.int8()", "bitsandbytes": version})


def _settings(kept: Sequence[str]) -> dict[str, Any]:
    """transformers matches these names from the model's root, vLLM as a part of its own names; so both stand there."""
    rooted = [f"model.{name}" for name in kept if name != HEAD]
    return {"quant_method": "bitsandbytes", "llm_int8_skip_modules": [*kept, *rooted]}
