"""A whole decoder layer as one function with an explicit backward pass.

What is cheap to recompute (normalized inputs, the activation) is not saved. The reference implementation is
`reference`.

# T = tokens, D = width, L = label rows, F = width of the MLP
# H = query heads, G = key/value heads, W = width of a head
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from texlens.kernels.attention.api import attend, triton_attention
from texlens.kernels.attention.segments import Segments
from texlens.kernels.decoder_layer.reference import Heads
from texlens.kernels.dropout.mask import DropoutSeed
from texlens.kernels.elementwise.backend import ElementwiseKernels
from texlens.kernels.lora_linear.backend import triton_lora
from texlens.kernels.lora_linear.fused_linear import FusedLinear, LoraState
from texlens.kernels.moe_lora.gating import GatedState, Router


@dataclass(frozen=True)
class Layer:
    """
    Args:
        kernels: the elementwise operations.
        recompute: what the backward pass recomputes: `none` only what is cheap, `mlp` the gate and up products too,
            `full` everything from the layer's input on.
        seed: of the dropout of its adapters.
        mixer: from the first product and cos, sin, segments to the input of the output product, with autograd; None for
            attention over `heads`.
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
    mixer: Callable[[Tensor, Tensor, Tensor, Segments], Tensor] | None = None

    @property
    def products(self) -> tuple[FusedLinear, ...]:
        return self.qkv, self.out, self.gate_up, self.down

    @property
    def routers(self) -> tuple[Router, ...]:
        """Those of all products, in order."""
        return tuple(router for product in self.products if product.gating for router in product.gating.all)

    def set_grad_probabilities(self, grads: Sequence[Tensor | None]) -> None:
        """Gradients of the router probabilities, which `backward` of the products adds to those through the gates."""
        remaining = iter(grads)
        for product in self.products:
            if product.gating:
                product.gating.grad_probabilities = tuple(next(remaining) for _ in product.gating.all)


def decoder_layer(
    layer: Layer, x: Tensor, cos: Tensor, sin: Tensor, segments: Segments, rows: Tensor | None = None
) -> Tensor:
    """The residual stream of the next layer; of `rows` alone, [L, D], if given. cos, sin [T, W] are float32."""
    trained = [parameter for product in layer.products for parameter in product.trained()]
    result, *probabilities = _DecoderLayer.apply(layer, x, cos, sin, segments, rows, *trained)
    for router, chance in zip(layer.routers, probabilities, strict=True):
        if router.log is not None:
            router.log(chance)
    return result


class _Saved(NamedTuple):
    """Tensors saved for the backward pass, besides the input.

    `backward` gives the gradient of the first product, [T, N + extra columns], from that of `attn_out`; it holds the
    tensors that this needs.
    """

    attn_out: Tensor
    backward: Callable[[Tensor], Tensor]
    attn_residual: Tensor
    gate_up: Tensor | None
    lora_a_outs: tuple[LoraState | None, ...]


class _DecoderLayer(torch.autograd.Function):
    @staticmethod
    def forward(ctx, layer: Layer, x, cos, sin, segments, rows, *trained):
        saved = _forward_to_gate_up(layer, x, cos, sin, segments, rows)
        assert saved.gate_up is not None
        y, lora_a_out_down = layer.down.forward_of_swiglu(layer.kernels, saved.gate_up)
        result = y.add_(saved.attn_residual)
        probabilities = _probabilities((*saved.lora_a_outs, lora_a_out_down))
        if layer.recompute == "full":
            saved = None
        elif layer.recompute == "mlp":
            saved = saved._replace(gate_up=None, lora_a_outs=(*saved.lora_a_outs[:2], None))
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
            dx, grads = _backward(layer, grad, x, cos, sin, rows, saved, lora_a_out_down, ctx.needs_input_grad[1])
        return None, dx, None, None, None, None, *grads


def _forward_to_gate_up(layer: Layer, x, cos, sin, segments: Segments, rows) -> _Saved:
    """The layer up to the gate/up product."""
    kernels = layer.kernels
    y, lora_a_out_qkv = layer.qkv.forward_of_norm(kernels, x, layer.first_norm, layer.eps[0])
    attn_out, backward = _mix(layer, y, cos, sin, segments)
    if rows is not None:
        attn_out, x = attn_out[rows], x[rows]
    attn_residual, lora_a_out_o = layer.out.forward(attn_out)
    gate_up, lora_a_out_gate_up = layer.gate_up.forward_of_norm(
        kernels, x, layer.second_norm, layer.eps[1], attn_residual
    )
    lora_a_outs = lora_a_out_qkv, lora_a_out_o, lora_a_out_gate_up
    return _Saved(attn_out, backward, attn_residual, gate_up, lora_a_outs)


def _backward(layer: Layer, grad, x, cos, sin, rows, saved: _Saved, lora_a_out_down, needs_grad_x: bool):
    """The gradient of x, or None, and those of the adapters."""
    kernels, attn_residual, gate_up = layer.kernels, saved.attn_residual, saved.gate_up
    lora_a_out_qkv, lora_a_out_o, lora_a_out_gate_up = saved.lora_a_outs
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
    saved = saved._replace(gate_up=None)
    grads_down = layer.down.parameter_grads(swiglu_grads.down_lora_a, grad_lora_b_down)
    dnormed = layer.gate_up.grad_input(swiglu_grads.rows)
    grad_lora_a_out, grad_lora_b_gate_up = swiglu_grads.lora_a_out, swiglu_grads.lora_b
    del swiglu_grads
    norm = layer.second_norm, layer.eps[1]
    dattn_residual, grad_lora_a_gate_up = _norm_backward(
        layer.gate_up, kernels, dnormed, attn_residual, *norm, grad, grad_lora_a_out, layer.out.extra_columns
    )
    grads_gate_up = layer.gate_up.parameter_grads(grad_lora_a_gate_up, grad_lora_b_gate_up)
    del dnormed
    dattn_out, grad_lora_a_out, grad_lora_b_o = layer.out.backward(dattn_residual, lora_a_out_o)
    grad_lora_a_o = layer.out.lora_a_grad(grad_lora_a_out, saved.attn_out[:, : layer.out.width])
    grads_o = layer.out.parameter_grads(grad_lora_a_o, grad_lora_b_o)
    dattn_residual = dattn_residual[:, : layer.out.height]
    if rows is not None:
        dattn_out, dattn_residual = _scatter_rows(dattn_out, rows, len(x)), _scatter_rows(dattn_residual, rows, len(x))
    dy = saved.backward(dattn_out)
    del dattn_out, saved
    if needs_grad_x:
        dnormed, grad_lora_a_out, grad_lora_b_qkv = layer.qkv.backward(dy, lora_a_out_qkv)
        norm = layer.first_norm, layer.eps[0]
        dx, grad_lora_a_qkv = _norm_backward(
            layer.qkv, kernels, dnormed, x, *norm, dattn_residual, grad_lora_a_out, layer.down.extra_columns
        )
        dx = dx[:, : x.shape[1]]
    else:
        grad_lora_a_out, grad_lora_b_qkv = layer.qkv.lora_b_grads(dy[:, : layer.qkv.height], lora_a_out_qkv)
        normed = kernels.rms_norm(x, layer.first_norm, layer.eps[0])
        dx, grad_lora_a_qkv = None, layer.qkv.lora_a_grad(grad_lora_a_out, normed)
    grads_qkv = layer.qkv.parameter_grads(grad_lora_a_qkv, grad_lora_b_qkv)
    return dx, [*grads_qkv, *grads_o, *grads_gate_up, *grads_down]


def _norm_backward(
    product: FusedLinear,
    kernels: ElementwiseKernels,
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    eps: float,
    residual: Tensor,
    grad_lora_a_out,
    extra_columns: int,
) -> tuple[Tensor, Tensor | None]:
    """The gradient of x plus `residual`, with extra columns, and that of the LoRA A that multiplies the norm of x."""
    if grad_lora_a_out is not None and (fused := triton_lora("rms_norm_backward", x)) is not None:
        dx, scaled_grad = fused.rms_norm_backward(grad, x, weight, eps, residual, grad_lora_a_out, extra_columns)
        grad_lora_a = product.lora_a_grad(scaled_grad, x)
        return dx, None if grad_lora_a is None else grad_lora_a.mul_(weight)
    dx, normed = kernels.rms_norm_backward(grad, x, weight, eps, residual, extra_columns)
    return dx, product.lora_a_grad(grad_lora_a_out, normed)


def with_extra_columns(x: Tensor, extra_columns: int) -> Tensor:
    """x [T, D] followed by `extra_columns` columns: the tensor that x is the left part of, else a copy."""
    tokens, width = x.shape
    if not extra_columns:
        return x.contiguous()
    end = x.storage_offset() + tokens * (width + extra_columns)
    if x.stride() == (width + extra_columns, 1) and end * x.itemsize <= x.untyped_storage().nbytes():
        return x.as_strided((tokens, width + extra_columns), (width + extra_columns, 1))
    result = x.new_empty(tokens, width + extra_columns)
    result[:, :width] = x
    return result


def _scatter_rows(part: Tensor, rows: Tensor, tokens: int) -> Tensor:
    return part.new_zeros(tokens, part.shape[1]).index_copy_(0, rows, part)


def _probabilities(states: Sequence[LoraState | None]) -> list[Tensor]:
    return [part for state in states if isinstance(state, GatedState) for part in state.probabilities]


def _mix(layer: Layer, y: Tensor, cos: Tensor, sin: Tensor, segments: Segments) -> tuple[Tensor, Any]:
    """From the first product [T, N] to the input of the output product, and the backward pass of that."""
    if layer.mixer is not None:
        return _mix_by_autograd(layer, layer.mixer, y, cos, sin, segments)
    assert layer.heads is not None
    kernels, heads, extra_columns = layer.kernels, layer.heads, layer.qkv.extra_columns
    query, key = kernels.split_heads_norm_rope(y, *heads[:3], _norms(heads), layer.eps[0], cos, sin)
    value = y.unflatten(-1, (-1, heads.width))[:, heads.queries + heads.keys :]
    saved_y = y if _norms(heads) else None
    if saved_y is None:
        value = value.contiguous()
    attn_out, attention_backward = _attend(query, key, value, segments, layer.out.extra_columns)

    def backward(grad: Tensor) -> Tensor:
        dquery, dkey, dvalue = attention_backward(grad.unflatten(-1, (-1, heads.width)))
        return kernels.split_heads_norm_rope_backward(
            dquery, dkey, dvalue, saved_y, _norms(heads), layer.eps[0], cos, sin, extra_columns
        )

    return attn_out, backward


def _mix_by_autograd(layer: Layer, mixer: Callable[..., Tensor], y: Tensor, cos, sin, segments) -> tuple[Tensor, Any]:
    with torch.enable_grad():
        y = y.detach().requires_grad_()
        mixed = mixer(y, cos, sin, segments)

    def backward(grad: Tensor) -> Tensor:
        return with_extra_columns(torch.autograd.grad(mixed, y, grad)[0], layer.qkv.extra_columns)

    return mixed.detach(), backward


def _attend(query: Tensor, key: Tensor, value: Tensor, segments: Segments, extra_columns: int) -> tuple[Tensor, Any]:
    """The attention output, [T, H W + extra_columns] by Triton and else [T, H W], and its backward pass: gradients of
    query, key and value from that of the output, [T, H, W]."""
    if (kernels := triton_attention(query.device)) is not None:
        attn_out, log_sums = kernels.forward(
            query, key, value, segments.cu_seqlens, causal=True, extra_columns=extra_columns
        )
        saved = query, key, value, attn_out, log_sums, segments.cu_seqlens
        return with_extra_columns(attn_out.flatten(1), extra_columns), lambda grad: kernels.backward(
            grad, *saved, causal=True
        )
    with torch.enable_grad():
        query, key, value = (part.detach().requires_grad_() for part in (query, key, value))
        attn_out = attend(query, key, value, segments, causal=True)
    return attn_out.detach().flatten(1), lambda grad: torch.autograd.grad(attn_out, (query, key, value), grad)


def _norms(heads: Heads) -> tuple[Tensor, Tensor] | None:
    if heads.query_norm is None or heads.key_norm is None:
        return None
    return heads.query_norm, heads.key_norm
