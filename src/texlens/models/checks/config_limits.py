"""What a config.json may say before a model is built from it, so that a damaged one costs neither time nor memory."""

from collections.abc import Mapping
from typing import Any

PARTS = ("text_config", "vision_config", "quantization_config")
MAX_BY_KEY = {
    **dict.fromkeys(("num_hidden_layers", "depth"), 1024),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 16_384),
    **dict.fromkeys(("patch_size", "spatial_merge_size", "temporal_patch_size", "merge_size"), 1024),
}
MAX_INTEGER = 2**40
"""No size of a model is larger; product of two is still an int64."""


def config_fault(config: Mapping[str, Any]) -> str | None:
    """Why no model can be built, or None.

    Example:
        {"num_hidden_layers": 10000000} -> "num_hidden_layers is 10,000,000, over the 1,024 that are possible"
    """
    for name in PARTS:
        if config.get(name) is not None and not isinstance(config[name], dict):
            return f"{name} is no object"
    parts = [("", config), *((f"{name}.", config[name]) for name in PARTS if config.get(name))]
    faults = (_value_fault(prefix + key, value) for prefix, part in parts for key, value in part.items())
    return next((fault for fault in faults if fault), None)


def _value_fault(key: str, value: Any) -> str | None:
    leaf = key.rpartition(".")[2]
    limit = MAX_BY_KEY.get(leaf)
    if limit is not None and not (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return None if value is None else f"{key} is not a whole number"
    if isinstance(value, int) and value > (limit or MAX_INTEGER):
        return f"{key} is {_shown(value)}, over the {limit or MAX_INTEGER:,} that are possible"
    return None


def _shown(value: int) -> str:
    return f"{value:,}" if value < 10**15 else "an integer of many digits"
