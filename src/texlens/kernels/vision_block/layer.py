"""A block of a vision tower as one function: without a graph for frozen blocks, with an explicit backward pass for
adapted ones. Norms and activation are recomputed, not saved.

# P = patches, D = width, H = heads, W = width of a head, F = width of the MLP
"""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from texlens.kernels.attention.api import attend
from texlens.kernels.attention.segments import Segments
from texlens.kernels.decoder_layer.attention_half import attend_with_backward, with_extra_columns
from texlens.kernels.dropout.mask import DropoutSeed
from texlens.kernels.elementwise.backend import ElementwiseKernels
from texlens.kernels.lora_linear.fused_linear import FusedLinear
from texlens.kernels.lora_linear.layer_products import LayerProducts, router_probabilities
from texlens.kernels.lora_linear.states import LoraState
from texlens.kernels.vision_block.activation import Activation, activate, activation_backward
from texlens.kernels.vision_block.norm import add_norm, norm_backward


class Norm(NamedTuple):
    """A layer norm, or without a bias an RMS norm."""

    weight: Tensor
    bias: Tensor | None
    eps: float


@dataclass(frozen=True)
class VisionBlock(LayerProducts):
    """
    Args:
        first: of the MLP; with SwiGLU gate and up as one product.
    """

    qkv: FusedLinear
    out: FusedLinear
    first: FusedLinear
    second: FusedLinear
    norms: tuple[Norm, Norm]
    heads: int
    activation: Activation
    kernels: ElementwiseKernels
    seed: DropoutSeed | None = None

    @property
    def products(self) -> tuple[FusedLinear, ...]:
        return self.qkv, self.out, self.first, self.second


@torch.no_grad()
def frozen_block(
    block: VisionBlock, x: Tensor, residual: Tensor | None, cos: Tensor, sin: Tensor, segments: Segments
) -> tuple[Tensor, Tensor]:
    """The residual stream and the output of the MLP [P, D], from those of the block before: the next block starts with
    their sum. cos, sin [P, W] are float32."""
    x, normed = add_norm(x, residual, *block.norms[0])
    query, key, value = _split_heads_rope(block, block.qkv.forward(normed)[0], cos, sin)
    attn_out = attend(query, key, value, segments, causal=False)
    x, normed = add_norm(x, block.out.forward(attn_out.flatten(1))[0], *block.norms[1])
    return x, block.second.forward(_first_activated(block, normed))[0]


def _first_activated(block: VisionBlock, normed: Tensor) -> Tensor:
    """The activation of the MLP's first product, applied by cuBLAS where it knows it: the tanh form of GELU."""
    weight = getattr(block.first, "augmented", None)
    if normed.is_cuda and block.activation == "gelu_tanh" and weight is not None and not block.first.trained():
        bias = getattr(block.first, "bias", None)
        if bias is not None:
            return torch._addmm_activation(bias, normed, weight.T, use_gelu=True)
    return activate(block.activation, block.kernels, block.first.forward(normed)[0])


def vision_block(block: VisionBlock, x: Tensor, cos: Tensor, sin: Tensor, segments: Segments) -> Tensor:
    """The residual stream of the next block [P, D], with autograd."""
    result, *probabilities = _VisionBlock.apply(block, x, cos, sin, segments, *block.trained())
    block.log_probabilities(probabilities)
    return result


class _Saved(NamedTuple):
    attn_out: Tensor
    backward: Any
    attn_residual: Tensor
    first: Tensor
    states: tuple[LoraState | None, ...]


class _VisionBlock(torch.autograd.Function):
    @staticmethod
    def forward(ctx, block: VisionBlock, x, cos, sin, segments, *trained):
        result, saved = _forward(block, x, cos, sin, segments)
        ctx.block, ctx.x, ctx.saved, ctx.inputs = block, x, saved, (cos, sin)
        ctx.seed = None if block.seed is None else block.seed.value
        ctx.set_materialize_grads(False)
        return result, *router_probabilities(saved.states)

    @staticmethod
    def backward(ctx, grad, *grad_probabilities):  # pyrefly: ignore[bad-override]
        block, x, saved, (cos, sin) = ctx.block, ctx.x, ctx.saved, ctx.inputs
        ctx.x = ctx.saved = ctx.inputs = None
        block.set_grad_probabilities(grad_probabilities)
        with block.seed.replaced_by(ctx.seed) if block.seed else nullcontext():
            dx, grads = _backward(block, grad, x, cos, sin, saved, ctx.needs_input_grad[1])
        return None, dx, None, None, None, *grads


def _forward(block: VisionBlock, x, cos, sin, segments: Segments) -> tuple[Tensor, _Saved]:
    _, normed = add_norm(x, None, *block.norms[0], block.qkv.extra_columns)
    y, state_qkv = block.qkv.forward(normed)
    query, key, value = _split_heads_rope(block, y, cos, sin)
    attn_out, backward = attend_with_backward(query, key, value, segments, block.out.extra_columns, causal=False)
    projected, state_out = block.out.forward(attn_out)
    attn_residual, normed = add_norm(x, projected, *block.norms[1], block.first.extra_columns)
    first, state_first = block.first.forward(normed)
    y, state_second = block.second.forward(activate(block.activation, block.kernels, first, block.second.extra_columns))
    saved = _Saved(attn_out, backward, attn_residual, first, (state_qkv, state_out, state_first, state_second))
    return y.add_(attn_residual), saved


def _backward(block: VisionBlock, grad, x, cos, sin, saved: _Saved, needs_grad_x: bool):
    """The gradient of x, or None, and those of the adapters."""
    kernels, (state_qkv, state_out, state_first, state_second) = block.kernels, saved.states
    grad = with_extra_columns(grad, block.second.grad_columns)
    dact, grad_lora_a_out, grad_lora_b = block.second.backward(grad, state_second)
    grad = grad[:, : x.shape[1]]
    dfirst, act = activation_backward(block.activation, kernels, dact, saved.first, block.first.extra_columns)
    grads_second = block.second.parameter_grads(block.second.lora_a_grad(grad_lora_a_out, act), grad_lora_b)
    del dact, act
    dnormed, grad_lora_a_out, grad_lora_b = block.first.backward(dfirst, state_first)
    del dfirst
    columns = block.out.grad_columns
    dresidual, normed = norm_backward(dnormed, saved.attn_residual, *block.norms[1], grad, columns)
    grads_first = block.first.parameter_grads(block.first.lora_a_grad(grad_lora_a_out, normed), grad_lora_b)
    dattn_out, grad_lora_a_out, grad_lora_b = block.out.backward(dresidual, state_out)
    dresidual = dresidual[:, : x.shape[1]]
    attn_out = saved.attn_out[:, : block.out.width]
    grads_out = block.out.parameter_grads(block.out.lora_a_grad(grad_lora_a_out, attn_out), grad_lora_b)
    dquery, dkey, dvalue = saved.backward(dattn_out.unflatten(-1, (block.heads, -1)))
    dy = kernels.split_heads_norm_rope_backward(
        dquery, dkey, dvalue, None, None, 0.0, cos, sin, block.qkv.extra_columns
    )
    dx, grads_qkv = _qkv_backward(block, dy, x, dresidual, state_qkv, needs_grad_x)
    return dx, [*grads_qkv, *grads_out, *grads_first, *grads_second]


def _qkv_backward(block: VisionBlock, dy, x, dresidual, state: LoraState | None, needs_grad_x: bool):
    if not needs_grad_x:
        grad_lora_a_out, grad_lora_b = block.qkv.lora_b_grads(dy[:, : block.qkv.height], state)
        _, normed = add_norm(x, None, *block.norms[0])
        return None, block.qkv.parameter_grads(block.qkv.lora_a_grad(grad_lora_a_out, normed), grad_lora_b)
    dnormed, grad_lora_a_out, grad_lora_b = block.qkv.backward(dy, state)
    dx, normed = norm_backward(dnormed, x, *block.norms[0], dresidual, block.second.grad_columns)
    grads = block.qkv.parameter_grads(block.qkv.lora_a_grad(grad_lora_a_out, normed), grad_lora_b)
    return dx[:, : x.shape[1]], grads


def _split_heads_rope(block: VisionBlock, y: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rotated queries and keys, and values [P, H, W], from the q/k/v product."""
    heads, width = block.heads, y.shape[1] // (3 * block.heads)
    query, key = block.kernels.split_heads_norm_rope(y, heads, heads, width, None, 0.0, cos, sin)
    return query, key, y.unflatten(-1, (3 * heads, width))[:, 2 * heads :]
