"""A whole decoder layer as one function, with its backward pass written out.

Its products stand in `products`. What is cheap to make again (normalized inputs, the activation) is not kept. The plain
form, its twin, stands in `fused`.

# T = tokens, D = width, L = rows that are wanted
# H = heads, G = key/value heads, W = width of a head
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from texlens.kernels.attention.api import Segments, attend, own_kernels
from texlens.kernels.decoder_layer.reference import Heads
from texlens.kernels.lora_linear.dispatch import own_thin
from texlens.kernels.lora_linear.products import Product, over_tokens


@dataclass(frozen=True)
class Layer:
    """What a layer is made of.

    Args:
        kernels: the module with its elementwise parts, `triton_passes` or `cpu_passes`.
        recompute: what the backward pass makes again: `none` only what is cheap, `mlp` the gate and up products too,
            `full` everything from the layer's input on.
    """

    qkv: Product
    out: Product
    gate_up: Product
    down: Product
    heads: Heads
    first_norm: Tensor
    second_norm: Tensor
    eps: tuple[float, float]
    kernels: ModuleType
    recompute: str = "none"

    @property
    def products(self) -> tuple[Product, ...]:
        return self.qkv, self.out, self.gate_up, self.down


def decoder_layer(
    layer: Layer, x: Tensor, cos: Tensor, sin: Tensor, where: Segments, rows: Tensor | None = None
) -> Tensor:
    """The next layer's residual stream [T, D] from x [T, D]; of `rows` alone, [L, D], if given (for the last layer).

    cos, sin are [T, W] in float32.
    """
    trained = [parameter for product in layer.products for parameter in product.trained()]
    return _DecoderLayer.apply(layer, x, cos, sin, where, rows, *trained)


class _Kept(NamedTuple):
    """What the backward pass takes from the forward pass, the input aside. `mixed` is as `_attend` gives it."""

    y: Tensor
    query: Tensor
    key: Tensor
    value: Tensor
    mixed: Tensor
    back: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]
    middle: Tensor
    wide: Tensor | None
    thins: tuple[Tensor | None, ...]


class _DecoderLayer(torch.autograd.Function):
    @staticmethod
    def forward(ctx, layer: Layer, x, cos, sin, where, rows, *trained):
        kept = _to_wide(layer, x, cos, sin, where, rows)
        assert kept.wide is not None
        y, thin = layer.down.forward_of_swiglu(layer.kernels, kept.wide)
        result = y.add_(kept.middle)
        if layer.recompute == "full":
            kept = None
        elif layer.recompute == "mlp":
            kept = kept._replace(wide=None, thins=(*kept.thins[:2], None))
        ctx.layer, ctx.x, ctx.kept, ctx.thin, ctx.rest = layer, x, kept, thin, (cos, sin, where, rows)
        return result

    @staticmethod
    def backward(ctx, slope):  # pyrefly: ignore[bad-override]
        layer, x, kept, thin, (cos, sin, where, rows) = ctx.layer, ctx.x, ctx.kept, ctx.thin, ctx.rest
        ctx.x = ctx.kept = ctx.thin = ctx.rest = None
        if kept is None:
            kept = _to_wide(layer, x, cos, sin, where, rows)
        dx, slopes = _back(layer, slope, x, cos, sin, rows, kept, thin, ctx.needs_input_grad[1])
        return None, dx, None, None, None, None, *slopes


def _to_wide(layer: Layer, x, cos, sin, where: Segments, rows) -> _Kept:
    """The layer up to the gate and up products."""
    kernels, heads = layer.kernels, layer.heads
    y, thin_qkv = layer.qkv.forward_of_norm(kernels, x, layer.first_norm, layer.eps[0])
    query, key = kernels.into_heads(y, *heads[:3], _norms(heads), layer.eps[0], cos, sin)
    value = y.unflatten(-1, (-1, heads.width))[:, heads.queries + heads.keys :]
    if not _norms(heads):
        y = value = value.contiguous()
    mixed, back = _attend(query, key, value, where, layer.out.border)
    if rows is not None:
        mixed, x = mixed[rows], x[rows]
    middle, thin_out = layer.out.forward(mixed)
    wide, thin_wide = layer.gate_up.forward_of_norm(kernels, x, layer.second_norm, layer.eps[1], middle)
    return _Kept(y, query, key, value, mixed, back, middle, wide, (thin_qkv, thin_out, thin_wide))


def _back(layer: Layer, slope, x, cos, sin, rows, kept: _Kept, thin_down, wants_x: bool):
    """The slope of x, or None, and those of the adapters."""
    kernels, middle, wide, (thin_qkv, thin_out, thin_wide) = layer.kernels, kept.middle, kept.wide, kept.thins
    if wide is None:
        wide, thin_wide = layer.gate_up.forward_of_norm(kernels, middle, layer.second_norm, layer.eps[1])
    dact, dthin, dup_down = layer.down.backward(bordered(slope, layer.down.border), thin_down)
    lean = layer.gate_up.swiglu_slopes(kernels, dact, wide, thin_wide, dthin)
    del wide, dact
    kept = kept._replace(wide=None)
    ddown = layer.down.slopes(lean.down, dup_down)
    dnormed, dthin, dup_wide = layer.gate_up.slope_of_x(lean.rows), lean.thin, lean.up
    del lean
    norm = layer.second_norm, layer.eps[1]
    dmiddle, ddown_wide = _norm_back(kernels, dnormed, middle, *norm, slope, dthin, layer.out.border)
    dwide_adapters = layer.gate_up.slopes(ddown_wide, dup_wide)
    del dnormed
    dmixed, dthin, dup_out = layer.out.backward(dmiddle, thin_out)
    dout = layer.out.slopes(_down_slope(dthin, kept.mixed[:, : layer.out.width]), dup_out)
    dmiddle = dmiddle[:, : layer.out.height]
    if rows is not None:
        dmixed, dmiddle = _among_all(dmixed, rows, len(x)), _among_all(dmiddle, rows, len(x))
    heads = layer.heads
    dquery, dkey, dvalue = kept.back(dmixed.unflatten(-1, (-1, heads.width)))
    y = kept.y if _norms(heads) else None
    dy = kernels.into_heads_back(dquery, dkey, dvalue, y, _norms(heads), layer.eps[0], cos, sin, layer.qkv.border)
    del dquery, dkey, dvalue, y, dmixed, kept
    if wants_x:
        dnormed, dthin, dup_qkv = layer.qkv.backward(dy, thin_qkv)
        norm = layer.first_norm, layer.eps[0]
        dx, ddown_qkv = _norm_back(kernels, dnormed, x, *norm, dmiddle, dthin, layer.down.border)
        dx = dx[:, : x.shape[1]]
    else:
        dthin, dup_qkv = layer.qkv.thin_slopes(dy[:, : layer.qkv.height], thin_qkv)
        dx, ddown_qkv = None, _down_slope(dthin, kernels.rms_norm(x, layer.first_norm, layer.eps[0]))
    dqkv = layer.qkv.slopes(ddown_qkv, dup_qkv)
    return dx, [*dqkv, *dout, *dwide_adapters, *ddown]


def _norm_back(
    kernels: ModuleType, slope: Tensor, x: Tensor, weight: Tensor, eps: float, added: Tensor, dthin, border: int
) -> tuple[Tensor, Tensor | None]:
    """The slope of x plus `added`, with a border, and that of the `down` that takes the norm of x, from its `dthin`."""
    if dthin is not None and (own := own_thin("unnormed", x)) is not None:
        dx, beside = own.rms_norm_back(slope, x, weight, eps, added, dthin, border)
        return dx, over_tokens(beside, x).mul_(weight)
    dx, normed = kernels.rms_norm_back(slope, x, weight, eps, added, border)
    return dx, _down_slope(dthin, normed)


def bordered(x: Tensor, border: int) -> Tensor:
    """x [T, D] with room for `border` columns beside it: the tensor that x is the left part of, else a copy."""
    tokens, width = x.shape
    if not border:
        return x.contiguous()
    room = x.storage_offset() + tokens * (width + border)
    if x.stride() == (width + border, 1) and room * x.itemsize <= x.untyped_storage().nbytes():
        return x.as_strided((tokens, width + border), (width + border, 1))
    whole = x.new_empty(tokens, width + border)
    whole[:, :width] = x
    return whole


def _among_all(part: Tensor, rows: Tensor, tokens: int) -> Tensor:
    return part.new_zeros(tokens, part.shape[1]).index_copy_(0, rows, part)


def _down_slope(dthin: Tensor | None, x: Tensor) -> Tensor | None:
    return None if dthin is None else over_tokens(dthin, x)


def _attend(query: Tensor, key: Tensor, value: Tensor, where: Segments, border: int) -> tuple[Tensor, Any]:
    """What attention mixes, [T, H W + border] by our kernels and else [T, H W]; and its backward pass: the slopes of
    query, key and value from that of what was mixed, [T, H, W]."""
    if (kernels := own_kernels(query.device)) is not None:
        mixed, sums = kernels.forward(query, key, value, where.ends, causal=True, border=border)
        kept = query, key, value, mixed, sums, where.ends
        return bordered(mixed.flatten(1), border), lambda slope: kernels.backward(slope, *kept, causal=True)
    with torch.enable_grad():
        query, key, value = (part.detach().requires_grad_() for part in (query, key, value))
        mixed = attend(query, key, value, where, causal=True)
    return mixed.detach().flatten(1), lambda slope: torch.autograd.grad(mixed, (query, key, value), slope)


def _norms(heads: Heads) -> tuple[Tensor, Tensor] | None:
    if heads.query_norm is None or heads.key_norm is None:
        return None
    return heads.query_norm, heads.key_norm
