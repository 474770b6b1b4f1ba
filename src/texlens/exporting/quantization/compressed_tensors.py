"""The layout of compressed-tensors, which vLLM and stock transformers read: its settings, and 4-bit weights in it.

How weights are rounded is decided in `rounding.py`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from texlens.exporting.quantization.codec import Codec, require_package
from texlens.models.families import HEAD

PACKAGE = ("compressed-tensors", "compressed_tensors")
"""Its name for pip and for Python."""


def int4_codec(
    scales: Mapping[str, Tensor], codes: Mapping[str, Tensor], group_size: int, notes: Mapping[str, Any]
) -> Codec:
    """Symmetric 4-bit codes (-8 to 7) with a scale per group of inputs; both by layer, from `rounding.py`."""
    version = require_package(*PACKAGE, "gptq")
    from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32

    def encode(layer: str, weight: Tensor) -> Mapping[str, Tensor]:
        return {
            "weight_packed": pack_to_int32(codes[layer], 4),
            "weight_scale": scales[layer].to(weight.dtype),
            "weight_shape": torch.tensor(weight.shape),
        }

    weights = {
        "num_bits": 4,
        "type": "int",
        "symmetric": True,
        "strategy": "group",
        "group_size": group_size,
        "dynamic": False,
    }
    return Codec(
        encode,
        lambda unquantized: quantization_config("pack-quantized", unquantized, version, weights, None),
        {**notes, "group": group_size, "compressed-tensors": version},
    )


def ignore_pattern(name: str) -> str:
    """Matches the module and those below it, whatever is above it; loaders match patterns at the start of a name.

    Example:
        mlp.gate matches language_model.model.layers.0.mlp.gate and not …mlp.gate_up_proj
    """
    return rf"re:(.*\.)?{re.escape(name)}(\..*)?$"


def quantization_config(
    storage: str, unquantized: Sequence[str], version: str, weights: dict, activations: dict | None
) -> dict[str, Any]:
    """config.json's `quantization_config`: one group for all linear layers but the `unquantized`."""
    return {
        "quant_method": "compressed-tensors",
        "format": storage,
        "quantization_status": "compressed",
        "global_compression_ratio": None,
        "version": version,
        "kv_cache_scheme": None,
        "config_groups": {
            "group_0": {
                "targets": ["Linear"],
                "weights": weights,
                "input_activations": activations,
                "output_activations": None,
            }
        },
        "ignore": [name if name == HEAD else ignore_pattern(name) for name in unquantized],
    }
