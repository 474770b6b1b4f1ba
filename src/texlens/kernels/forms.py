"""The forms of the fused layers' passes, by name."""

import importlib

import torch

from texlens.kernels.fused import PLAIN, Passes
from texlens.kernels.fused_inplace import InPlace


def choose_passes(form: str) -> Passes:
    """The passes by the name of their form.

    `plain` is PyTorch in its simplest form; `cpu` the same with few temporaries, for full precision; `compiled` by
    torch.compile and `triton` with kernels of our own are for GPUs.
    """
    if form == "plain":
        return PLAIN
    if form == "compiled":
        return Passes(*(torch.compile(body, dynamic=True) for body in PLAIN))
    ours = InPlace(importlib.import_module(f"texlens.kernels.{form}_passes"))
    return Passes(ours.into_heads, ours.into_heads_back, ours.after_attention, ours.after_attention_back)
