"""Layers that several tests build."""

import torch
from torch import nn

from texlens.adapters.moe_lora.layer import MoeLoraLayer


def build_layer(**options) -> MoeLoraLayer:
    torch.manual_seed(0)
    defaults = {"r": 2, "lora_alpha": 4, "lora_dropout": 0.0, "experts": 3, "top_k": None, "shared_expert": False}
    layer = MoeLoraLayer(nn.Linear(5, 4), "default", **{**defaults, **options})
    for part in layer.parameters():
        nn.init.normal_(part)
    return layer
