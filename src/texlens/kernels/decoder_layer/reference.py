"""A decoder layer around its attention as two functions with explicit backward passes, in plain PyTorch.

The reference implementation of `layer`, which training runs.

Autograd over PEFT modules keeps some 20 tensors a layer and runs each adapter as products of its own. Here q, k, v (and
gate, up) are one product, the LoRA A outputs of all of them are one product, and what is cheap to recompute (normalized
inputs, the activation) is not saved. LoRA: Hu et al. 2021, arXiv:2106.09685.

# T = tokens, D = width in, N = width out, R = adapter ranks side by side
# H = query heads, G = key/value heads, W = width of a head, F = width of the MLP
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


class LoraWeight(NamedTuple):
    """A frozen weight [N, D] and its low-rank update `lora_b @ lora_a`, [N, R] @ [R, D], scaling included.

    `lora_a` and `lora_b` are None where nothing is adapted.
    """

    weight: Tensor
    bias: Tensor | None
    lora_a: Tensor | None
    lora_b: Tensor | None


class Heads(NamedTuple):
    """How the q/k/v product is split into heads; the norms over a head are None in families without them."""

    queries: int
    keys: int
    width: int
    query_norm: Tensor | None
    key_norm: Tensor | None


def split_heads_norm_rope(
    x: Float[Tensor, "T D"],
    norm: Float[Tensor, " D"],
    eps: float,
    qkv: LoraWeight,
    heads: Heads,
    cos: Float[Tensor, "T W"],
    sin: Float[Tensor, "T W"],
) -> tuple[Float[Tensor, "T H W"], Float[Tensor, "T G W"], Float[Tensor, "T G W"]]:
    """From the residual stream to rotated queries and keys, and values.

    RMS norm, q/k/v product with adapters, RMS norm over heads where the family has it, rotary embedding.
    """
    return _SplitHeadsNormRope.apply(x, norm, eps, *qkv, *heads, cos, sin)


def after_attention(
    attn_out: Float[Tensor, "T columns"],
    x: Float[Tensor, "T D"],
    norm: Float[Tensor, " D"],
    eps: float,
    out: LoraWeight,
    gate_up: LoraWeight,
    down: LoraWeight,
    keep_gate_up: bool,
) -> Float[Tensor, "T D"]:
    """From the attention output and the residual stream to the residual stream of the next layer.

    Output product, sum, RMS norm, SwiGLU, sum. With `keep_gate_up` the gate and up products [T, 2F], by far the largest
    tensor of a layer, are saved for the backward pass; without, they are recomputed.
    """
    return _AfterAttention.apply(attn_out, x, norm, eps, *out, *gate_up, *down, keep_gate_up)


def rms_norm(x: Float[Tensor, "*rows D"], weight: Float[Tensor, " D"], eps: float) -> Float[Tensor, "*rows D"]:
    """x / rms(x) * weight over the last dimension."""
    return (weight * (_upcast(x) * _rms(x, eps)).to(x.dtype)).to(x.dtype)


def rotate(x: Float[Tensor, "T H W"], cos: Float[Tensor, "T W"], sin: Float[Tensor, "T W"]) -> Float[Tensor, "T H W"]:
    """Rotary embedding of x, in float32."""
    first, second = _upcast(x).chunk(2, -1)
    return (_upcast(x) * cos[:, None] + torch.cat([-second, first], -1) * sin[:, None]).to(x.dtype)


def product(x: Tensor, layer: LoraWeight) -> tuple[Tensor, Tensor | None]:
    """x @ (weight + B @ A).T + bias, and x @ A.T, which the backward pass uses again."""
    y = functional.linear(x, layer.weight, layer.bias)
    if layer.lora_a is None or layer.lora_b is None:
        return y, None
    lora_a_out = x @ layer.lora_a.T
    return torch.addmm(y, lora_a_out, layer.lora_b.T), lora_a_out


def product_backward(
    grad: Tensor, x: Tensor, lora_a_out: Tensor | None, layer: LoraWeight, needs_grad_x: bool
) -> tuple[Any, Tensor | None, Tensor | None]:
    """Gradients of x (None where it is not needed), LoRA A and LoRA B, from that of the result of `product`."""
    dx = grad @ layer.weight if needs_grad_x else None
    if layer.lora_a is None or layer.lora_b is None or lora_a_out is None:
        return dx, None, None
    grad_lora_a_out = grad @ layer.lora_b
    if dx is not None:
        dx = torch.addmm(dx, grad_lora_a_out, layer.lora_a)
    return dx, grad_lora_a_out.T @ x, grad.T @ lora_a_out


def rms_norm_backward(grad: Tensor, x: Tensor, weight: Tensor, eps: float) -> Tensor:
    rms = _rms(x, eps)
    normalized = _upcast(x) * rms
    grad_normalized = _upcast(grad) * _upcast(weight)
    return ((grad_normalized - normalized * (grad_normalized * normalized).mean(-1, keepdim=True)) * rms).to(x.dtype)


def rotate_backward(grad: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    gate_up = _upcast(grad)
    first, second = (gate_up * sin[:, None]).chunk(2, -1)
    return (gate_up * cos[:, None] + torch.cat([second, -first], -1)).to(grad.dtype)


def _upcast(x: Tensor) -> Tensor:
    """16 bits as float32; float32 and float64 unchanged."""
    return x.float() if x.itemsize < 4 else x


def _rms(x: Tensor, eps: float) -> Tensor:
    return torch.rsqrt(_upcast(x).pow(2).mean(-1, keepdim=True) + eps)


def split_heads(y, heads: Heads, eps: float, cos, sin) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values from the q/k/v product: split, normalized where the family does it, rotated."""
    query, key, value = y.unflatten(-1, (-1, heads.width)).split((heads.queries, heads.keys, heads.keys), 1)
    if heads.query_norm is not None and heads.key_norm is not None:
        query, key = rms_norm(query, heads.query_norm, eps), rms_norm(key, heads.key_norm, eps)
    return rotate(query, cos, sin), rotate(key, cos, sin), value.contiguous()


def split_heads_backward(dquery, dkey, dvalue, y, heads: Heads, eps: float, cos, sin) -> Tensor:
    """The gradient of the q/k/v product from those of queries, keys and values."""
    dquery, dkey = rotate_backward(dquery, cos, sin), rotate_backward(dkey, cos, sin)
    if heads.query_norm is not None and heads.key_norm is not None:
        query, key, _ = y.unflatten(-1, (-1, heads.width)).split((heads.queries, heads.keys, heads.keys), 1)
        dquery = rms_norm_backward(dquery, query, heads.query_norm, eps)
        dkey = rms_norm_backward(dkey, key, heads.key_norm, eps)
    return torch.cat([dquery, dkey, dvalue], 1).flatten(1)


def _split_heads_norm_rope(x, norm, eps: float, qkv: LoraWeight, heads: Heads, cos, sin):
    y, lora_a_out = product(rms_norm(x, norm, eps), qkv)
    return *split_heads(y, heads, eps, cos, sin), y, lora_a_out


def _split_heads_norm_rope_backward(
    dquery, dkey, dvalue, x, y, lora_a_out, norm, eps: float, qkv: LoraWeight, heads: Heads, cos, sin, needs_grad_x
):
    dy = split_heads_backward(dquery, dkey, dvalue, y, heads, eps, cos, sin)
    dnormed, *lora_grads = product_backward(dy, rms_norm(x, norm, eps), lora_a_out, qkv, needs_grad_x)
    return (rms_norm_backward(dnormed, x, norm, eps) if needs_grad_x else None), *lora_grads


def _after_attention(
    attn_out, x, norm, eps: float, o_proj: LoraWeight, gate_up_proj: LoraWeight, down_proj: LoraWeight
):
    y, lora_a_out_o = product(attn_out, o_proj)
    attn_residual = x + y
    gate_up, lora_a_out_gate_up = product(rms_norm(attn_residual, norm, eps), gate_up_proj)
    y, lora_a_out_down = product(_swiglu(gate_up), down_proj)
    return attn_residual + y, attn_residual, gate_up, lora_a_out_o, lora_a_out_gate_up, lora_a_out_down


def _after_attention_backward(
    grad,
    attn_out,
    attn_residual,
    gate_up,
    lora_a_outs,
    norm,
    eps: float,
    o_proj: LoraWeight,
    gate_up_proj: LoraWeight,
    down_proj: LoraWeight,
):
    lora_a_out_o, lora_a_out_gate_up, lora_a_out_down = lora_a_outs
    normed = rms_norm(attn_residual, norm, eps)
    if gate_up is None:
        gate_up, lora_a_out_gate_up = product(normed, gate_up_proj)
    dact, *down_grads = product_backward(grad, _swiglu(gate_up), lora_a_out_down, down_proj, True)
    dgate_up = _swiglu_backward(dact, gate_up)
    dnormed, *gate_up_grads = product_backward(dgate_up, normed, lora_a_out_gate_up, gate_up_proj, True)
    dattn_residual = grad + rms_norm_backward(dnormed, attn_residual, norm, eps)
    dattn_out, *o_grads = product_backward(dattn_residual, attn_out, lora_a_out_o, o_proj, True)
    return dattn_out, dattn_residual, o_grads, gate_up_grads, down_grads


def _swiglu(gate_up: Tensor) -> Tensor:
    gate, up = gate_up.chunk(2, -1)
    return functional.silu(gate) * up


def _swiglu_backward(grad: Tensor, gate_up: Tensor) -> Tensor:
    gate, up = (_upcast(half) for half in gate_up.chunk(2, -1))
    grad = _upcast(grad)
    sigmoid_gate = torch.sigmoid(gate)
    dgate = grad * up * sigmoid_gate * (1 + gate * (1 - sigmoid_gate))
    return torch.cat([dgate, grad * gate * sigmoid_gate], -1).to(gate_up.dtype)


class _SplitHeadsNormRope(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, norm, eps, *arguments):
        qkv, heads, (cos, sin) = LoraWeight(*arguments[:4]), Heads(*arguments[4:9]), arguments[9:]
        query, key, value, y, lora_a_out = _split_heads_norm_rope(x, norm, eps, qkv, heads, cos, sin)
        ctx.eps, ctx.split = eps, heads[:3]
        saved_y = y if heads.query_norm is not None else None
        ctx.save_for_backward(x, saved_y, lora_a_out, norm, *qkv, heads.query_norm, heads.key_norm, cos, sin)
        return query, key, value

    @staticmethod
    def backward(ctx, dquery, dkey, dvalue):  # pyrefly: ignore[bad-override]
        x, y, lora_a_out, norm, *qkv, query_norm, key_norm, cos, sin = ctx.saved_tensors
        queries, keys, width = ctx.split
        heads = Heads(queries, keys, width, query_norm, key_norm)
        needs_grad_x = ctx.needs_input_grad[0]
        dx, *lora_grads = _split_heads_norm_rope_backward(
            dquery, dkey, dvalue, x, y, lora_a_out, norm, ctx.eps, LoraWeight(*qkv), heads, cos, sin, needs_grad_x
        )
        return dx, None, None, None, None, *lora_grads, *[None] * 7


class _AfterAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx, attn_out, x, norm, eps, *arguments):
        layers = LoraWeight(*arguments[:4]), LoraWeight(*arguments[4:8]), LoraWeight(*arguments[8:12])
        result, attn_residual, gate_up, *lora_a_outs = _after_attention(attn_out, x, norm, eps, *layers)
        ctx.eps = eps
        gate_up = gate_up if arguments[12] else None
        ctx.save_for_backward(
            attn_out, attn_residual, gate_up, *lora_a_outs, norm, *(part for layer in layers for part in layer)
        )
        return result

    @staticmethod
    def backward(ctx, grad):  # pyrefly: ignore[bad-override]
        saved = ctx.saved_tensors
        attn_out, attn_residual, gate_up, *lora_a_outs, norm = saved[:7]
        parts = saved[7:]
        layers = LoraWeight(*parts[:4]), LoraWeight(*parts[4:8]), LoraWeight(*parts[8:12])
        dattn_out, dx, out, gate_up, down = _after_attention_backward(
            grad, attn_out, attn_residual, gate_up, tuple(lora_a_outs), norm, ctx.eps, *layers
        )
        return dattn_out, dx, None, None, None, None, *out, None, None, *gate_up, None, None, *down, None
