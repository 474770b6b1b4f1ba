"""fp8 and 4-bit integers in the layout of compressed-tensors, which vLLM and stock transformers read.

The rounding of gptq and awq is decided in `rounding.py`; here weights and scales become the stored tensors.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from texlens.export.codec import Codec, require_package

FP8_MOST = 448.0
"""The largest number of float8_e4m3fn."""


def fp8_codec() -> Codec:
    """e4m3 weights with a scale for each output; activations are scaled a token at a time when the model runs."""
    version = require_package("compressed-tensors", "compressed_tensors", "fp8")

    def encode(name: str, weight: Tensor) -> Mapping[str, Tensor]:
        scale = (weight.float().abs().amax(1, keepdim=True) / FP8_MOST).clamp(min=torch.finfo(torch.bfloat16).tiny)
        scale = scale.to(weight.dtype)
        rounded = (weight.float() / scale.float()).clamp(-FP8_MOST, FP8_MOST).to(torch.float8_e4m3fn)
        return {"weight": rounded, "weight_scale": scale}

    weights = {"num_bits": 8, "type": "float", "symmetric": True, "strategy": "channel", "dynamic": False}
    inputs = {"num_bits": 8, "type": "float", "symmetric": True, "strategy": "token", "dynamic": True}
    return Codec(
        encode,
        lambda kept: _settings("float-quantized", kept, version, weights, inputs),
        {"method": "fp8 (e4m3), a scale for each output, inputs scaled by token", "compressed-tensors": version},
    )


def int4_codec(scales: Mapping[str, Tensor], codes: Mapping[str, Tensor], group: int, made: Mapping[str, Any]) -> Codec:
    """Symmetric 4-bit codes -8..7 with a scale for each `group` of inputs; both by layer, from `rounding.py`."""
    version = require_package("compressed-tensors", "compressed_tensors", "gptq")
    from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32

    def encode(name: str, weight: Tensor) -> Mapping[str, Tensor]:
        return {
            "weight_packed": pack_to_int32(codes[name], 4),
            "weight_scale": scales[name].to(weight.dtype),
            "weight_shape": torch.tensor(weight.shape),
        }

    weights = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": group}
    return Codec(
        encode,
        lambda kept: _settings("pack-quantized", kept, version, {**weights, "dynamic": False}, None),
        {**made, "group": group, "compressed-tensors": version},
    )


def _settings(form: str, kept: Sequence[str], version: str, weights: dict, inputs: dict | None) -> dict[str, Any]:
    return {
        "quant_method": "compressed-tensors",
        "format": form,
        "quantization_status": "compressed",
        "global_compression_ratio": None,
        "version": version,
        "kv_cache_scheme": None,
        "config_groups": {
            "group_0": {
                "targets": ["Linear"],
                "weights": weights,
                "input_activations": inputs,
                "output_activations": None,
            }
        },
        "ignore": [name if name == "lm_head" else f"re:(.*\\.)?{name}(\\..*)?" for name in kept],
    }
