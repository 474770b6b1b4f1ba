"""The elementwise operations of the fused layers for a CPU, in float32 or float64: few temporaries, sums as products.

The same functions as `elementwise.triton`; the reference is in `decoder_layer.reference`.

# T = tokens, D = width, H = query heads, G = key/value heads, W = width of a head, F = width of the MLP
"""

import torch
from torch import Tensor
from torch.nn import functional


def rms_norm(x: Tensor, weight: Tensor, eps: float, extra_columns: int = 0) -> Tensor:
    result, normalized = _with_extra_columns(x, extra_columns)
    torch.mul(x, _rms(x, eps), out=normalized).mul_(weight)
    return result


def add_rms_norm(x: Tensor, y: Tensor, weight: Tensor, eps: float, extra_columns: int = 0) -> tuple[Tensor, Tensor]:
    y.add_(x)
    return y, rms_norm(y, weight, eps, extra_columns)


def rms_norm_backward(
    grad: Tensor, x: Tensor, weight: Tensor, eps: float, residual: Tensor | None, extra_columns: int = 0
) -> tuple[Tensor, Tensor]:
    rms = _rms(x, eps)
    normalized = x * rms
    result, dx = _with_extra_columns(x, extra_columns)
    _norm_back(torch.mul(grad, weight, out=dx), normalized, rms)
    if residual is not None:
        dx.add_(residual)
    return result, normalized.mul_(weight)


def swiglu(gate_up: Tensor, extra_columns: int = 0) -> Tensor:
    gate, up = gate_up.chunk(2, -1)
    result, act = _with_extra_columns(gate, extra_columns)
    torch.mul(functional.silu(gate), up, out=act)
    return result


def swiglu_backward(grad: Tensor, gate_up: Tensor, extra_columns: int = 0) -> tuple[Tensor, Tensor]:
    gate, up = gate_up.chunk(2, -1)
    act = functional.silu(gate)
    dgate_up, left = _with_extra_columns(gate_up, extra_columns)
    dgate, dup = left.chunk(2, -1)
    torch.mul(grad, act, out=dup)
    dgate.copy_(torch.ops.aten.silu_backward(grad * up, gate))
    return dgate_up, act.mul_(up)


def split_heads_norm_rope(
    y: Tensor, queries: int, keys: int, width: int, norms: tuple[Tensor, Tensor] | None, eps: float, cos: Tensor, sin
) -> tuple[Tensor, Tensor]:
    query, key, _ = y.unflatten(-1, (-1, width)).split((queries, keys, keys), 1)
    if norms:
        query, key = rms_norm(query, norms[0], eps), rms_norm(key, norms[1], eps)
    return _rotate(query, cos, sin), _rotate(key, cos, sin)


def split_heads_norm_rope_backward(
    dquery: Tensor,
    dkey: Tensor,
    dvalue: Tensor,
    y: Tensor | None,
    norms: tuple[Tensor, Tensor] | None,
    eps: float,
    cos: Tensor,
    sin: Tensor,
    extra_columns: int = 0,
) -> Tensor:
    tokens, queries, width = dquery.shape
    keys = dkey.shape[1]
    whole = dquery.new_empty(tokens, (queries + 2 * keys) * width + extra_columns)
    dy = whole[:, : whole.shape[1] - extra_columns].unflatten(-1, (-1, width))
    grads = _rotate(dquery, cos, -sin), _rotate(dkey, cos, -sin)
    if norms and y is not None:
        raw = y.unflatten(-1, (-1, width)).split((queries, keys, keys), 1)
        grads = tuple(
            _norm_back(grad.mul_(norm), part * (rms := _rms(part, eps)), rms)
            for grad, norm, part in zip(grads, norms, raw, strict=False)
        )
    dy[:, :queries], dy[:, queries : queries + keys], dy[:, queries + keys :] = *grads, dvalue
    return whole


def _with_extra_columns(x: Tensor, extra_columns: int) -> tuple[Tensor, Tensor]:
    """An empty tensor for x and extra columns, and the part of it that x takes."""
    whole = x.new_empty(*x.shape[:-1], x.shape[-1] + extra_columns)
    return whole, whole[..., : x.shape[-1]]


def _rms(x: Tensor, eps: float) -> Tensor:
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return length.square_().div_(x.shape[-1]).add_(eps).rsqrt_()


def _norm_back(grad: Tensor, normalized: Tensor, rms: Tensor) -> Tensor:
    """The gradient of x, written over `grad`, that of x / rms(x)."""
    mean = torch.linalg.vecdot(grad, normalized).div_(normalized.shape[-1])[..., None]
    return grad.addcmul_(normalized, mean, value=-1).mul_(rms)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """`reference.rotate` in halves; with -sin it is the inverse."""
    half = x.shape[-1] // 2
    cos, sin = cos[:, None, :half].to(x.dtype), sin[:, None, :half].to(x.dtype)
    first, second = x[..., :half], x[..., half:]
    rotated = torch.empty_like(x, memory_format=torch.contiguous_format)
    torch.mul(first, cos, out=rotated[..., :half]).addcmul_(second, sin, value=-1)
    torch.mul(second, cos, out=rotated[..., half:]).addcmul_(first, sin)
    return rotated
