"""A base with quantized linear layers: 4 or 8 bits by bitsandbytes while it is loaded, or float8 afterwards.

Mixtures of experts are quantized layer by layer while they are loaded (`mixtures.load`).

The vision tower and the head keep 16 bits: they are a small part of the weights and lose the most.
"""

import importlib.util
from typing import Any

import torch

from texlens.config.quantize import QuantizeSettings
from texlens.core.errors import ConfigError
from texlens.core.notes import print_note
from texlens.kernels.fp8.format import fp8_unsupported_reason
from texlens.models.families import HEAD, VISION_TOWER, Family

UNQUANTIZED_MODULES = [VISION_TOWER, HEAD]


def check_quantize(settings: QuantizeSettings, family: Family, device: torch.device, dtype: torch.dtype) -> None:
    """Checks before a model is loaded that this device can compute with the quantized base in this dtype.

    Raises:
        ConfigError: it can't, with the reason.
    """
    method = settings.quantize
    if method == "none":
        return
    if method == "fp8":
        _check_fp8(device, dtype)
    elif importlib.util.find_spec("bitsandbytes") is None:
        raise ConfigError(f"base.quantize: {method} needs bitsandbytes; pip install bitsandbytes")
    check_family(method, family)
    if method == "nf4" and family.nf4_warning:
        print_note(f"base.quantize: nf4 with {family.title}: {family.nf4_warning}")


def check_family(method: str, family: Family) -> None:
    """
    Raises:
        ConfigError: the method would leave most of the family's weights unquantized.
    """
    if method == "int8" and family.expert_parameters:
        raise ConfigError(
            f"base.quantize: {method} quantizes linear layers only, and nearly all weights of {family.title} are "
            f"stacked experts; set base.quantize: fp8 or nf4"
        )


def _check_fp8(device: torch.device, dtype: torch.dtype) -> None:
    if reason := fp8_unsupported_reason(device):
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
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=UNQUANTIZED_MODULES)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=settings.double_quantize,
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=UNQUANTIZED_MODULES,
    )


def is_packed(model: torch.nn.Module) -> bool:
    """Whether some of the model's weights are quantized by bitsandbytes."""
    return bool(getattr(model, "is_loaded_in_4bit", False) or getattr(model, "is_loaded_in_8bit", False))
