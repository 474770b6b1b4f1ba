"""What keeps a model from the decoding engine, in one line; such a model is decoded by the reference."""

from collections.abc import Sequence
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import AuxiliaryTrainingWrapper
from torch import nn
from torch.distributed.tensor import DTensor

from texlens.inference.engine.layers.adapted_layer import unsupported_layer
from texlens.inference.engine.layers.experts import is_mixture
from texlens.models.packed.forward import packing_unsupported_reason
from texlens.models.packed.mixers import mixer_groups


def model_unsupported_reason(model: Any) -> str | None:
    """What keeps a model (adapted by PEFT or not) from the engine, or None."""
    stock = model.get_base_model() if hasattr(model, "get_base_model") else model
    if not hasattr(getattr(stock, "model", None), "language_model"):
        return f"{type(stock).__name__} is none of the families that it knows"
    if reason := packing_unsupported_reason(stock):
        return reason
    if len(set((getattr(stock, "hf_device_map", None) or {}).values())) > 1:
        return "its layers are on several devices"
    if any(isinstance(part, DTensor) for part in stock.parameters()) or _divides_experts(stock):
        return "its weights are divided among processes"
    text = stock.model.language_model
    if getattr(text.config, "hidden_act", "silu") != "silu":
        return f"the activation {text.config.hidden_act}"
    wrapped = [name for name, module in stock.named_modules() if isinstance(module, AuxiliaryTrainingWrapper)]
    if wrapped:
        return f"{wrapped[0]} is trained as a whole module"
    for name in ("embed_tokens", "norm"):
        if isinstance(getattr(text, name), BaseTunerLayer):
            return f"{name} has an adapter"
    if isinstance(stock.lm_head, BaseTunerLayer):
        return "the head has an adapter"
    if isinstance(stock.model.visual.patch_embed.proj, BaseTunerLayer):
        return "the patch embedding has an adapter"
    return next((reason for layer in text.layers for reason in [_layer_reason(layer)] if reason), None)


def _divides_experts(stock: nn.Module) -> bool:
    return any(getattr(module, "owners", None) is not None for module in stock.modules())


def _layer_reason(layer: Any) -> str | None:
    if getattr(getattr(layer, "self_attn", None), "sliding_window", None):
        return "sliding-window attention"
    inputs, outputs = mixer_groups(layer)
    parts: Sequence[nn.Module] = (*inputs, *outputs)
    if is_mixture(layer.mlp):
        experts = layer.mlp.experts
        weight = next(experts.parameters())
        if weight.is_cuda and weight.dtype != torch.bfloat16:
            return f"a mixture of experts in {str(weight.dtype).removeprefix('torch.')}"
        if isinstance(layer.mlp.gate, BaseTunerLayer):
            return "the router has an adapter"
        if (shared := getattr(layer.mlp, "shared_expert", None)) is not None:
            parts = (*parts, shared.gate_proj, shared.up_proj, shared.down_proj)
    else:
        parts = (*parts, layer.mlp.gate_proj, layer.mlp.up_proj, layer.mlp.down_proj)
    return next((reason for part in parts for reason in [unsupported_layer(part)] if reason), None)
