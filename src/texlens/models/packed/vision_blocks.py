"""Blocks and mergers of the four families' towers as fused functions, or the reason why one runs module by module."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from texlens.kernels.elementwise.backend import BACKENDS
from texlens.kernels.lora_linear.fused_linear import FusedLinear
from texlens.kernels.lora_linear.module_function import fused_linear
from texlens.kernels.vision_block.activation import Activation
from texlens.kernels.vision_block.layer import Norm, VisionBlock
from texlens.models.packed.fp8 import holds_fp8
from texlens.models.packed.projections import (
    LoraOptions,
    is_4_bit,
    is_moe_lora,
    stack,
    unfused_group_reason,
    unfused_linear_reason,
    with_dora,
)

ACTIVATIONS: dict[str, Activation] = {"gelu_pytorch_tanh": "gelu_tanh", "quick_gelu": "quick_gelu", "silu": "swiglu"}
"""By `hidden_act` of a tower's config."""


def fused_block(block: Any, config: Any, backend: str, options: LoraOptions) -> VisionBlock | str:
    """The block as one function, or why it runs module by module."""
    groups = _groups(block)
    activation = ACTIVATIONS.get(getattr(config, "hidden_act", ""))
    if activation is None or (activation == "swiglu") != hasattr(block.mlp, "gate_proj"):
        return "an MLP of another kind"
    norms = block.norm1, block.norm2
    if any(part.requires_grad for norm in norms for part in norm.parameters()):
        return "a norm that is trained"
    if reason := _unfused_reason(groups, backend):
        return reason
    products = [with_dora(stack(group, options), group) for group in groups]
    kernels = BACKENDS["cpu" if backend == "reference" else backend]
    return VisionBlock(
        *products,
        norms=(_norm(norms[0]), _norm(norms[1])),
        heads=block.attn.num_heads,
        activation=activation,
        kernels=kernels,
        seed=options.seed,
    )


def _unfused_reason(groups: Sequence[Sequence[nn.Module]], backend: str) -> str | None:
    layers = [layer for group in groups for layer in group]
    if backend == "reference":
        return "the reference of fused blocks"
    if any(is_4_bit(layer) or holds_fp8(layer) for layer in layers):
        return "a block in few bits"
    reasons = itertools.chain(
        map(unfused_linear_reason, layers), (unfused_group_reason(group, backend) for group in groups)
    )
    return next((reason for reason in reasons if reason), None)


def _groups(block: Any) -> tuple[tuple[nn.Module, ...], ...]:
    """The linear layers of a block's four products."""
    attention, mlp = block.attn, block.mlp
    halves = (attention.qkv,), (attention.proj,)
    if hasattr(mlp, "gate_proj"):
        return *halves, (mlp.gate_proj, mlp.up_proj), (mlp.down_proj,)
    names = ("linear_fc1", "linear_fc2") if hasattr(mlp, "linear_fc1") else ("fc1", "fc2")
    return *halves, *((getattr(mlp, name),) for name in names)


def _norm(norm: Any) -> Norm:
    bias = getattr(norm, "bias", None)
    eps = norm.variance_epsilon if hasattr(norm, "variance_epsilon") else norm.eps
    return Norm(norm.weight.detach(), None if bias is None else bias.detach(), eps)


@dataclass(frozen=True)
class FusedMerger:
    """A merger with its two linear layers as fused products; norm and activation are its own modules.

    Args:
        norm_first: whether patches are normalized before four of them are merged, or after.
    """

    norm: nn.Module
    activation: nn.Module
    products: tuple[FusedLinear, FusedLinear]
    norm_first: bool
    options: LoraOptions

    def __call__(self, x: Tensor) -> Tensor:
        first, second = self.products
        x = self.norm(x).view(-1, first.width) if self.norm_first else self.norm(x.view(-1, first.width))
        if not torch.is_grad_enabled():
            return second.forward(self.activation(first.forward(x)[0]))[0]
        return fused_linear(second, self.activation(fused_linear(first, x, self.options.seed)), self.options.seed)

    def invalidate(self) -> None:
        for product in self.products:
            product.invalidate()


def fused_merger(merger: Any, backend: str, options: LoraOptions) -> FusedMerger | Callable[[Tensor], Tensor]:
    """The merger over fused products where its layers have adapters, else the module itself."""
    if hasattr(merger, "linear_fc1"):
        norm, activation, layers = merger.norm, merger.act_fn, (merger.linear_fc1, merger.linear_fc2)
    else:
        norm, activation, layers = merger.ln_q, merger.mlp[1], (merger.mlp[0], merger.mlp[2])
    adapted = any(hasattr(layer, "base_layer") for layer in layers)
    if not adapted or any(map(is_moe_lora, layers)) or _unfused_reason([(layer,) for layer in layers], backend):
        return merger
    first, second = (with_dora(stack((layer,), options), (layer,)) for layer in layers)
    return FusedMerger(norm, activation, (first, second), not getattr(merger, "use_postshuffle_norm", False), options)
