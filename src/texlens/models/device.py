"""Device, dtype and attention that a model runs with, by the names of the settings."""

import importlib.util
import os

import torch
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from texlens.core.errors import ConfigError

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


def choose_device(device: str) -> torch.device:
    """`auto`, or the name of a torch device; with several processes on a host, each takes its own GPU."""
    if device == "auto":
        device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise ConfigError(f"model.device {device!r} is not a torch device; use auto, cpu or cuda") from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"model.device {device!r}: torch finds no GPU; use auto or cpu")
    return chosen


def choose_dtype(dtype: str, device: torch.device) -> torch.dtype:
    if dtype == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    if dtype not in DTYPES:
        raise ConfigError(f"model.dtype {dtype!r} is not known; use auto or one of {', '.join(DTYPES)}")
    return DTYPES[dtype]


def choose_attention(attention: str, device: torch.device) -> str:
    """The attention implementation's name in transformers.

    Raises:
        ConfigError: not registered there, or FlashAttention without its package or a GPU.
    """
    if attention == "auto":
        return "sdpa"
    if attention == "flash_attention_2" and (device.type != "cuda" or not importlib.util.find_spec("flash_attn")):
        raise ConfigError("model.attention flash_attention_2 needs a GPU and the package flash-attn; use auto or sdpa")
    if attention not in {"eager", *ALL_ATTENTION_FUNCTIONS.valid_keys()}:
        raise ConfigError(f"model.attention {attention!r} is not known; use auto, sdpa, eager or flash_attention_2")
    return attention
