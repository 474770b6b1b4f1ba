"""Device, dtype and attention that a model runs with, by the names of the settings; the current GPU where a model is on
several."""

import importlib.util
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from texlens.core.errors import ConfigError

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}
Placement = Mapping[str, torch.device | str]
"""Devices of a model's parts, by their names."""


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


def on_gpu(device: torch.device) -> AbstractContextManager[Any]:
    """Inside, this GPU is the current one, on which kernels of Triton are launched wherever their tensors are."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def compute_on_their_devices(model: nn.Module, placement: Placement) -> None:
    """Makes the GPU of each part the current one while the part runs."""
    before: list[int] = []

    def enter(device: torch.device) -> None:
        before.append(torch.cuda.current_device())
        torch.cuda.set_device(device)

    def leave(module: nn.Module, inputs: Any, output: Any) -> None:
        torch.cuda.set_device(before.pop())

    devices = {name: torch.device(device) for name, device in placement.items()}
    for name, device in devices.items():
        if device.type == "cuda":
            part = model.get_submodule(name)
            part.register_forward_pre_hook(lambda module, inputs, device=device: enter(device))
            part.register_forward_hook(leave, always_call=True)
