"""A decoder layer around its attention as two functions with backward passes written out, in plain PyTorch.

The twin of `layer`, which is what training runs.

Autograd over PEFT's modules keeps some 20 tensors a layer and runs each adapter as products of its own. Here q, k, v
(and gate, up) are one product, the adapters of both are one thin product beside it, and what is cheap to make again
(normalized inputs, the activation) is not kept. LoRA: Hu et al. 2021, arXiv:2106.09685.

# T = tokens, D = width in, N = width out, R = adapter ranks side by side
# H = heads, G = key/value heads, W = width of a head
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class Adapted(NamedTuple):
    """One product of a frozen weight [N, D] and its low-rank update `up @ down`, [N, R] @ [R, D], scale included.

    `down` and `up` are None where nothing is adapted.
    """

    weight: Tensor
    bias: Tensor | None
    down: Tensor | None
    up: Tensor | None


class Heads(NamedTuple):
    """How the first product is cut into heads; the norms over a head's width are None in families without them."""

    queries: int
    keys: int
    width: int
    query_norm: Tensor | None
    key_norm: Tensor | None


def into_heads(
    x: Tensor,
    norm: Tensor,
    eps: float,
    qkv: Adapted,
    heads: Heads,
    cos: Tensor,
    sin: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """From the residual stream [T, D] to rotated queries [T, H, W], rotated keys and values [T, G, W].

    RMS norm, q/k/v product with adapters, RMS norm over heads where the family has it, rotary embedding by cos, sin
    [T, W].
    """
    return _IntoHeads.apply(x, norm, eps, *qkv, *heads, cos, sin)


def after_attention(
    mixed: Tensor,
    x: Tensor,
    norm: Tensor,
    eps: float,
    out: Adapted,
    gate_up: Adapted,
    down: Adapted,
    keep_wide: bool,
) -> Tensor:
    """From what attention mixed [T, H x W] and the residual stream [T, D] to the next layer's residual stream.

    Output product, sum, RMS norm, SwiGLU, sum. With `keep_wide` the gate and up products [T, 2 x wide], by far the
    largest thing of a layer, are kept for the backward pass; without, they are made again there.
    """
    return _AfterAttention.apply(mixed, x, norm, eps, *out, *gate_up, *down, keep_wide)


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return weight * (_wide(x) * _rms(x, eps)).to(x.dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding of x [T, H, W]: each half turned by the other, in float32."""
    first, second = _wide(x).chunk(2, -1)
    return (_wide(x) * cos[:, None] + torch.cat([-second, first], -1) * sin[:, None]).to(x.dtype)


def product(x: Tensor, layer: Adapted) -> tuple[Tensor, Tensor | None]:
    """x @ (weight + up @ down).T + bias, and x @ down.T, which the backward pass uses again."""
    y = functional.linear(x, layer.weight, layer.bias)
    if layer.down is None or layer.up is None:
        return y, None
    thin = x @ layer.down.T
    return torch.addmm(y, thin, layer.up.T), thin


def product_back(
    slope: Tensor, x: Tensor, thin: Tensor | None, layer: Adapted, wants_x: bool
) -> tuple[Any, Tensor | None, Tensor | None]:
    """Slopes of x (None where it is not wanted), down and up, from the slope of `product`'s result."""
    dx = slope @ layer.weight if wants_x else None
    if layer.down is None or layer.up is None or thin is None:
        return dx, None, None
    dthin = slope @ layer.up
    if dx is not None:
        dx = torch.addmm(dx, dthin, layer.down)
    return dx, dthin.T @ x, slope.T @ thin


def rms_norm_back(slope: Tensor, x: Tensor, weight: Tensor, eps: float) -> Tensor:
    rms = _rms(x, eps)
    unit = _wide(x) * rms
    along = _wide(slope) * _wide(weight)
    return ((along - unit * (along * unit).mean(-1, keepdim=True)) * rms).to(x.dtype)


def rotate_back(slope: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    wide = _wide(slope)
    first, second = (wide * sin[:, None]).chunk(2, -1)
    return (wide * cos[:, None] + torch.cat([second, -first], -1)).to(slope.dtype)


def _wide(x: Tensor) -> Tensor:
    """Half precision as float32; float32 and float64 as they are."""
    return x.float() if x.itemsize < 4 else x


def _rms(x: Tensor, eps: float) -> Tensor:
    return torch.rsqrt(_wide(x).pow(2).mean(-1, keepdim=True) + eps)


def heads_of(y, heads: Heads, eps: float, cos, sin) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values from the q/k/v product: cut, normalized where the family does it, rotated."""
    query, key, value = y.unflatten(-1, (-1, heads.width)).split((heads.queries, heads.keys, heads.keys), 1)
    if heads.query_norm is not None and heads.key_norm is not None:
        query, key = rms_norm(query, heads.query_norm, eps), rms_norm(key, heads.key_norm, eps)
    return rotate(query, cos, sin), rotate(key, cos, sin), value.contiguous()


def heads_of_back(dquery, dkey, dvalue, y, heads: Heads, eps: float, cos, sin) -> Tensor:
    """The slope of the q/k/v product from those of queries, keys and values."""
    dquery, dkey = rotate_back(dquery, cos, sin), rotate_back(dkey, cos, sin)
    if heads.query_norm is not None and heads.key_norm is not None:
        query, key, _ = y.unflatten(-1, (-1, heads.width)).split((heads.queries, heads.keys, heads.keys), 1)
        dquery = rms_norm_back(dquery, query, heads.query_norm, eps)
        dkey = rms_norm_back(dkey, key, heads.key_norm, eps)
    return torch.cat([dquery, dkey, dvalue], 1).flatten(1)


def _into_heads(x, norm, eps: float, qkv: Adapted, heads: Heads, cos, sin):
    y, thin = product(rms_norm(x, norm, eps), qkv)
    return *heads_of(y, heads, eps, cos, sin), y, thin


def _into_heads_back(dquery, dkey, dvalue, x, y, thin, norm, eps: float, qkv: Adapted, heads: Heads, cos, sin, wants_x):
    dy = heads_of_back(dquery, dkey, dvalue, y, heads, eps, cos, sin)
    dn, ddown, dup = product_back(dy, rms_norm(x, norm, eps), thin, qkv, wants_x)
    return (rms_norm_back(dn, x, norm, eps) if wants_x else None), ddown, dup


def _after_attention(mixed, x, norm, eps: float, out: Adapted, gate_up: Adapted, down: Adapted):
    y, thin_out = product(mixed, out)
    middle = x + y
    wide, thin_wide = product(rms_norm(middle, norm, eps), gate_up)
    y, thin_down = product(_swiglu(wide), down)
    return middle + y, middle, wide, thin_out, thin_wide, thin_down


def _after_attention_back(
    slope, mixed, middle, wide, thins, norm, eps: float, out: Adapted, gate_up: Adapted, down: Adapted
):
    thin_out, thin_wide, thin_down = thins
    normed = rms_norm(middle, norm, eps)
    if wide is None:
        wide, thin_wide = product(normed, gate_up)
    dact, ddown_d, ddown_u = product_back(slope, _swiglu(wide), thin_down, down, True)
    dwide = _swiglu_back(dact, wide)
    dn, dgate_d, dgate_u = product_back(dwide, normed, thin_wide, gate_up, True)
    dmiddle = slope + rms_norm_back(dn, middle, norm, eps)
    dmixed, dout_d, dout_u = product_back(dmiddle, mixed, thin_out, out, True)
    return dmixed, dmiddle, (dout_d, dout_u), (dgate_d, dgate_u), (ddown_d, ddown_u)


def _swiglu(wide: Tensor) -> Tensor:
    gate, up = wide.chunk(2, -1)
    return functional.silu(gate) * up


def _swiglu_back(slope: Tensor, wide: Tensor) -> Tensor:
    gate, up = (_wide(half) for half in wide.chunk(2, -1))
    slope = _wide(slope)
    switch = torch.sigmoid(gate)
    dgate = slope * up * switch * (1 + gate * (1 - switch))
    return torch.cat([dgate, slope * gate * switch], -1).to(wide.dtype)


class _IntoHeads(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, norm, eps, *rest):
        qkv, heads, (cos, sin) = Adapted(*rest[:4]), Heads(*rest[4:9]), rest[9:]
        query, key, value, y, thin = _into_heads(x, norm, eps, qkv, heads, cos, sin)
        ctx.eps, ctx.cut = eps, heads[:3]
        kept_y = y if heads.query_norm is not None else None
        ctx.save_for_backward(x, kept_y, thin, norm, *qkv, heads.query_norm, heads.key_norm, cos, sin)
        return query, key, value

    @staticmethod
    def backward(ctx, dquery, dkey, dvalue):  # pyrefly: ignore[bad-override]
        x, y, thin, norm, *qkv, query_norm, key_norm, cos, sin = ctx.saved_tensors
        queries, keys, width = ctx.cut
        heads = Heads(queries, keys, width, query_norm, key_norm)
        wants_x = ctx.needs_input_grad[0]
        dx, ddown, dup = _into_heads_back(
            dquery, dkey, dvalue, x, y, thin, norm, ctx.eps, Adapted(*qkv), heads, cos, sin, wants_x
        )
        return dx, None, None, None, None, ddown, dup, *[None] * 7


class _AfterAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx, mixed, x, norm, eps, *rest):
        layers = Adapted(*rest[:4]), Adapted(*rest[4:8]), Adapted(*rest[8:12])
        result, middle, wide, *thins = _after_attention(mixed, x, norm, eps, *layers)
        ctx.eps = eps
        wide = wide if rest[12] else None
        ctx.save_for_backward(mixed, middle, wide, *thins, norm, *(part for layer in layers for part in layer))
        return result

    @staticmethod
    def backward(ctx, slope):  # pyrefly: ignore[bad-override]
        kept = ctx.saved_tensors
        mixed, middle, wide, *thins, norm = kept[:7]
        parts = kept[7:]
        layers = Adapted(*parts[:4]), Adapted(*parts[4:8]), Adapted(*parts[8:12])
        dmixed, dx, out, gate_up, down = _after_attention_back(
            slope, mixed, middle, wide, tuple(thins), norm, ctx.eps, *layers
        )
        return dmixed, dx, None, None, None, None, *out, None, None, *gate_up, None, None, *down, None
