"""A whole decoder layer as one function with an explicit backward pass.

What is cheap to recompute (normalized inputs, the activation) is not saved. The reference implementation is
`reference`.

# T = tokens, D = width, L = label rows, F = width of the MLP
# H = query heads, G = key/value heads, W = width of a head
"""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from texlens.kernels.attention.segments import Segments
from texlens.kernels.decoder_layer.attention_half import (
    AttentionSaved,
    Mixer,
    attention_backward,
    attention_forward,
    norm_backward,
    with_extra_columns,
)
from texlens.kernels.decoder_layer.reference import Heads
from texlens.kernels.dropout.mask import DropoutSeed
from texlens.kernels.elementwise.backend import ElementwiseKernels
from texlens.kernels.lora_linear.fused_linear import FusedLinear
from texlens.kernels.lora_linear.layer_products import LayerProducts, router_probabilities
from texlens.kernels.lora_linear.states import LoraState


@dataclass(frozen=True)
class Layer(LayerProducts):
    """
    Args:
        kernels: the elementwise operations.
        recompute: what the backward pass recomputes: `none` only what is cheap, `mlp` the gate and up products too,
            `full` everything from the layer's input on.
        seed: of the dropout of its adapters.
        mixer: between the first and the output product; None for attention over `heads`.
    """

    qkv: FusedLinear
    out: FusedLinear
    gate_up: FusedLinear
    down: FusedLinear
    heads: Heads | None
    first_norm: Tensor
    second_norm: Tensor
    eps: tuple[float, float]
    kernels: ElementwiseKernels
    recompute: str = "none"
    seed: DropoutSeed | None = None
    mixer: Mixer | None = None

    @property
    def products(self) -> tuple[FusedLinear, ...]:
        return self.qkv, self.out, self.gate_up, self.down


def decoder_layer(
    layer: Layer, x: Tensor, cos: Tensor, sin: Tensor, segments: Segments, rows: Tensor | None = None
) -> Tensor:
    """The residual stream of the next layer; of `rows` alone, [L, D], if given. cos, sin [T, W] are float32."""
    result, *probabilities = _DecoderLayer.apply(layer, x, cos, sin, segments, rows, *layer.trained())
    layer.log_probabilities(probabilities)
    return result


class _Saved(NamedTuple):
    """Tensors saved for the backward pass, besides the input."""

    attention: AttentionSaved
    attn_residual: Tensor
    gate_up: Tensor | None
    lora_a_out_gate_up: LoraState | None


class _DecoderLayer(torch.autograd.Function):
    @staticmethod
    def forward(ctx, layer: Layer, x, cos, sin, segments, rows, *trained):
        saved = _forward_to_gate_up(layer, x, cos, sin, segments, rows)
        assert saved.gate_up is not None
        y, lora_a_out_down = layer.down.forward_of_swiglu(layer.kernels, saved.gate_up)
        result = y.add_(saved.attn_residual)
        attention = saved.attention
        probabilities = router_probabilities(
            (attention.lora_a_out_qkv, attention.lora_a_out_o, saved.lora_a_out_gate_up, lora_a_out_down)
        )
        if layer.recompute == "full":
            saved = None
        elif layer.recompute == "mlp":
            saved = saved._replace(gate_up=None, lora_a_out_gate_up=None)
        ctx.layer, ctx.x, ctx.saved, ctx.lora_a_out_down = layer, x, saved, lora_a_out_down
        ctx.inputs, ctx.seed = (cos, sin, segments, rows), None if layer.seed is None else layer.seed.value
        ctx.set_materialize_grads(False)
        return result, *probabilities

    @staticmethod
    def backward(ctx, grad, *grad_probabilities):  # pyrefly: ignore[bad-override]
        layer, x, saved, lora_a_out_down = ctx.layer, ctx.x, ctx.saved, ctx.lora_a_out_down
        cos, sin, segments, rows = ctx.inputs
        ctx.x = ctx.saved = ctx.lora_a_out_down = ctx.inputs = None
        layer.set_grad_probabilities(grad_probabilities)
        with layer.seed.replaced_by(ctx.seed) if layer.seed else nullcontext():
            if saved is None:
                saved = _forward_to_gate_up(layer, x, cos, sin, segments, rows)
            dx, grads = _backward(layer, grad, x, rows, saved, lora_a_out_down, ctx.needs_input_grad[1])
        return None, dx, None, None, None, None, *grads


def _forward_to_gate_up(layer: Layer, x, cos, sin, segments: Segments, rows) -> _Saved:
    """The layer up to the gate/up product."""
    x, attn_residual, attention = attention_forward(layer, x, cos, sin, segments, rows)
    gate_up, lora_a_out = layer.gate_up.forward_of_norm(
        layer.kernels, x, layer.second_norm, layer.eps[1], attn_residual
    )
    return _Saved(attention, attn_residual, gate_up, lora_a_out)


def _backward(layer: Layer, grad, x, rows, saved: _Saved, lora_a_out_down, needs_grad_x: bool):
    """The gradient of x, or None, and those of the adapters."""
    kernels, attn_residual, gate_up, lora_a_out_gate_up = layer.kernels, *saved[1:]
    if gate_up is None:
        gate_up, lora_a_out_gate_up = layer.gate_up.forward_of_norm(
            kernels, attn_residual, layer.second_norm, layer.eps[1]
        )
    dact, grad_lora_a_out, grad_lora_b_down = layer.down.backward(
        with_extra_columns(grad, layer.down.extra_columns), lora_a_out_down
    )
    swiglu_grads = layer.gate_up.swiglu_backward(
        kernels, dact, gate_up, lora_a_out_gate_up, grad_lora_a_out, layer.down
    )
    del gate_up, dact
    attention = saved.attention
    del saved
    grads_down = layer.down.parameter_grads(swiglu_grads.down_lora_a, grad_lora_b_down)
    dnormed = layer.gate_up.grad_input(swiglu_grads.rows)
    grad_lora_a_out, grad_lora_b_gate_up = swiglu_grads.lora_a_out, swiglu_grads.lora_b
    del swiglu_grads
    norm = layer.second_norm, layer.eps[1]
    dattn_residual, grad_lora_a_gate_up = norm_backward(
        layer.gate_up, kernels, dnormed, attn_residual, *norm, grad, grad_lora_a_out, layer.out.extra_columns
    )
    grads_gate_up = layer.gate_up.parameter_grads(grad_lora_a_gate_up, grad_lora_b_gate_up)
    del dnormed
    dx, grads = attention_backward(layer, dattn_residual, x, rows, attention, needs_grad_x, layer.down.extra_columns)
    return dx, [*grads, *grads_gate_up, *grads_down]
