"""Stacks of experts in float8 and NF4, the latter by hand, because bitsandbytes need not be installed."""

import copy

import torch
from torch import nn

from texlens.models.mixtures.experts import NF4_BLOCK, STACKS, Fp8Stack, Nf4Stack, QuantizedExperts

NF4_VALUES = [-1.0, -0.7, -0.53, -0.39, -0.28, -0.18, -0.09, 0.0, 0.08, 0.16, 0.25, 0.34, 0.44, 0.56, 0.72, 1.0]
KINDS = ["fp8", "nf4", "nf4 with quantized scales"]


def drawn_stack(kind: str, shape, seed: int = 0):
    """A stack with random codes; experts of `nf4` must be whole blocks of 64 values."""
    draw = torch.Generator().manual_seed(seed)
    experts, height, width = shape
    if kind == "fp8":
        return Fp8Stack.of(torch.randn(shape, generator=draw))
    count = experts * height * width
    packed = torch.randint(0, 256, (count // 2,), generator=draw, dtype=torch.uint8)
    parts = {"packed": packed, "values": torch.tensor(NF4_VALUES)}
    blocks = count // NF4_BLOCK
    if kind == "nf4":
        return Nf4Stack(shape, scales=torch.rand(blocks, generator=draw) + 0.5, **parts)
    parts["scales"] = torch.randint(0, 256, (blocks,), generator=draw, dtype=torch.uint8)
    nested = torch.linspace(-1, 1, 256), torch.rand(-(-blocks // 256), generator=draw), torch.tensor(1.2)
    names = "nested_values", "nested_scales", "nested_offset"
    return Nf4Stack(shape, **parts, **dict(zip(names, nested, strict=True)))


def values_of(stack) -> torch.Tensor:
    """[E, N, D] in float32."""
    out = torch.empty(stack.shape)
    stack.write(out)
    return out


def dequantized_model(model: nn.Module) -> nn.Module:
    """A copy whose experts are the stock module, with the values of the quantized stacks."""
    model = copy.deepcopy(model)
    for layer in model.model.language_model.layers:
        layer.mlp.experts = stock_experts(layer.mlp.experts, model.config.text_config)
    return model


def stock_experts(quantized: QuantizedExperts, text_config) -> nn.Module:
    from transformers.models.qwen3_vl_moe.modeling_qwen3_vl_moe import Qwen3VLMoeTextExperts

    experts = Qwen3VLMoeTextExperts(text_config)
    for name in STACKS:
        setattr(experts, name, nn.Parameter(values_of(quantized.stacks[name]), requires_grad=False))
    return experts


def quantize_model(model: nn.Module, kind: str) -> nn.Module:
    """The experts of every layer in place, with random codes; linear layers stay as they are."""
    for number, layer in enumerate(model.model.language_model.layers):
        experts = layer.mlp.experts
        shapes = {name: getattr(experts, name).shape for name in STACKS}
        stacks = {name: drawn_stack(kind, shape, number) for name, shape in shapes.items()}
        layer.mlp.experts = QuantizedExperts(experts, stacks)
        for stack in stacks.values():
            scales = stack.scale if kind == "fp8" else stack.values
            scales.mul_(0.2)
    return model
