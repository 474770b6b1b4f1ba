"""A base whose linear layers are packed: into 4 or 8 bit by bitsandbytes while it is loaded, or into float8 afterwards.

The vision tower and the head keep 16 bit: they are a small part of the weights and lose the most.
"""

import importlib.util
from typing import Any

import torch

from texlens.config.quantize import QuantizeSettings
from texlens.core.errors import ConfigError
from texlens.kernels.fp8.format import why_not_fp8
from texlens.models.families import HEAD, VISION_TOWER, Family

KEPT = [VISION_TOWER, HEAD]
"""Modules that stay as they are."""


def check_quantize(settings: QuantizeSettings, family: Family, device: torch.device, dtype: torch.dtype) -> None:
    """What can be known to fail before a model is loaded on this device, computing in this dtype.

    Raises:
        ConfigError: a quantization that can't work here, with the reason.
    """
    how = settings.quantize
    if how == "none":
        return
    if how == "fp8":
        _check_fp8(device, dtype)
    elif importlib.util.find_spec("bitsandbytes") is None:
        raise ConfigError(f"base.quantize: {how} needs bitsandbytes, which is not installed; pip install bitsandbytes")
    check_family(how, family)


def check_family(how: str, family: Family) -> None:
    """
    Raises:
        ConfigError: a family whose weights `base.quantize: HOW` would hardly touch.
    """
    if how != "none" and family.expert_parameters:
        raise ConfigError(
            f"base.quantize: {how} packs linear layers alone, and nearly all weights of {family.title} are stacked "
            f"experts; set base.quantize: none"
        )


def _check_fp8(device: torch.device, dtype: torch.dtype) -> None:
    if reason := why_not_fp8(device):
        raise ConfigError(f"base.quantize: fp8 can't be used here: {reason}; set base.quantize: none, or nf4")
    if device.type == "cuda" and dtype != torch.bfloat16:
        name = str(dtype).removeprefix("torch.")
        raise ConfigError(f"base.quantize: fp8 computes in bfloat16, and model.dtype is {name}; set model.dtype: auto")
    if device.type == "cuda" and importlib.util.find_spec("triton") is None:
        raise ConfigError("base.quantize: fp8 needs Triton, which is not installed; pip install triton")


def quantization(settings: QuantizeSettings, dtype: torch.dtype) -> Any:
    """The `BitsAndBytesConfig` for `from_pretrained`, or None; products are computed in `dtype`."""
    if settings.quantize in ("none", "fp8"):
        return None
    from transformers import BitsAndBytesConfig

    if settings.quantize == "int8":
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=KEPT)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=settings.double_quantize,
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=KEPT,
    )


def is_packed(model: torch.nn.Module) -> bool:
    """Whether bitsandbytes holds some of the model's weights."""
    return bool(getattr(model, "is_loaded_in_4bit", False) or getattr(model, "is_loaded_in_8bit", False))
