"""Why an adapter can't be merged into its base's weights, from its saved settings alone."""

from collections.abc import Mapping
from typing import Any

from texlens.adapters.moe_lora.register import NAME


def unmergeable_reason(settings: Mapping[str, Any], init: str = "default") -> str | None:
    """The reason in a phrase, or None if the adapter can be merged.

    Args:
        settings: adapter_config.json.
        init: of our metadata; PEFT's settings do not mention loftq, whose update fits the 4-bit base alone.
    """
    if settings.get("peft_type") == NAME:
        return "MoE-LoRA's router weighs the experts for every token, so no single weight equals it"
    if init == "loftq":
        return "loftq's update corrects the error of the 4-bit base, which the unquantized base does not have"
    return None
