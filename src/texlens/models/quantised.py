"""A base whose linear layers are packed into 4 or 8 bit by bitsandbytes while it is loaded.

The vision tower and the head keep 16 bit: they are a small part of the weights and lose the most.
"""

import importlib.util
from typing import Any

import torch

from texlens.config.quantise import QuantiseSettings
from texlens.core.errors import ConfigError
from texlens.models.families import HEAD, VISION_TOWER, Family

KEPT = [VISION_TOWER, HEAD]
"""Modules that stay as they are."""


def check_quantise(settings: QuantiseSettings, family: Family) -> None:
    """What can be known to fail before a model is loaded.

    Raises:
        ConfigError: a quantisation that can't work here, with the reason.
    """
    how = settings.quantise
    if how == "none":
        return
    if how == "fp8":
        raise ConfigError(
            "base.quantise: fp8 needs TexLens's own fp8 products, which this version lacks; use nf4 or int8"
        )
    if importlib.util.find_spec("bitsandbytes") is None:
        raise ConfigError(f"base.quantise: {how} needs bitsandbytes, which is not installed; pip install bitsandbytes")
    if family.expert_parameters:
        raise ConfigError(
            f"base.quantise: bitsandbytes packs linear layers alone, and nearly all weights of {family.title} are "
            f"stacked experts; set base.quantise: none"
        )


def quantisation(settings: QuantiseSettings, dtype: torch.dtype) -> Any:
    """The `BitsAndBytesConfig` for `from_pretrained`, or None; products are computed in `dtype`."""
    if settings.quantise == "none":
        return None
    from transformers import BitsAndBytesConfig

    if settings.quantise == "int8":
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=KEPT)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=settings.double_quantise,
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=KEPT,
    )


def is_packed(model: torch.nn.Module) -> bool:
    """Whether bitsandbytes holds some of the model's weights."""
    return bool(getattr(model, "is_loaded_in_4bit", False) or getattr(model, "is_loaded_in_8bit", False))
