"""Why an adapter can't become part of its base's weights, from its saved settings alone."""

from collections.abc import Mapping
from typing import Any

from texlens.adapters.moe_lora.register import NAME


def merge_refusal(settings: Mapping[str, Any], init: str = "default") -> str | None:
    """The reason in a phrase, or None where it can be merged.

    Args:
        settings: adapter_config.json.
        init: the card's; PEFT's settings do not tell of loftq, whose update is one of the 4-bit base alone.
    """
    if settings.get("peft_type") == NAME:
        return "MoE-LoRA's router weighs the experts anew for every token, so no single weight equals it"
    if init == "loftq":
        return "loftq's update makes up for the error of the 4-bit base, which the unquantized base does not have"
    return None
