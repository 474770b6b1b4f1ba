"""The elementwise parts of the fused layers for a CPU, in float32 or float64: few temporaries, sums as products.

The same functions as `triton_passes`; the twins in the simplest form stand in `fused`.

# T = tokens, D = width, H = query heads, G = key/value heads, W = width of a head, F = width of the MLP
"""

import torch
from torch import Tensor
from torch.nn import functional


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return (x * _rms(x, eps)).mul_(weight)


def add_rms_norm(x: Tensor, y: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    y.add_(x)
    return y, rms_norm(y, weight, eps)


def rms_norm_back(slope: Tensor, x: Tensor, weight: Tensor, eps: float, added: Tensor | None) -> tuple[Tensor, Tensor]:
    rms = _rms(x, eps)
    unit = x * rms
    dx = _norm_back(slope * weight, unit, rms)
    return dx if added is None else dx.add_(added), unit.mul_(weight)


def swiglu(wide: Tensor) -> Tensor:
    gate, up = wide.chunk(2, -1)
    return functional.silu(gate).mul_(up)


def swiglu_back(slope: Tensor, wide: Tensor) -> tuple[Tensor, Tensor]:
    gate, up = wide.chunk(2, -1)
    act = functional.silu(gate)
    dwide = torch.empty_like(wide)
    dgate, dup = dwide.chunk(2, -1)
    torch.mul(slope, act, out=dup)
    dgate.copy_(torch.ops.aten.silu_backward(slope * up, gate))
    return dwide, act.mul_(up)


def into_heads(
    y: Tensor, queries: int, keys: int, width: int, norms: tuple[Tensor, Tensor] | None, eps: float, cos: Tensor, sin
) -> tuple[Tensor, Tensor]:
    query, key, _ = y.unflatten(-1, (-1, width)).split((queries, keys, keys), 1)
    if norms:
        query, key = rms_norm(query, norms[0], eps), rms_norm(key, norms[1], eps)
    return _rotate(query, cos, sin), _rotate(key, cos, sin)


def into_heads_back(
    dquery: Tensor,
    dkey: Tensor,
    dvalue: Tensor,
    y: Tensor | None,
    norms: tuple[Tensor, Tensor] | None,
    eps: float,
    cos: Tensor,
    sin: Tensor,
) -> Tensor:
    tokens, queries, width = dquery.shape
    keys = dkey.shape[1]
    dy = dquery.new_empty(tokens, queries + 2 * keys, width)
    slopes = _rotate(dquery, cos, -sin), _rotate(dkey, cos, -sin)
    if norms and y is not None:
        before = y.unflatten(-1, (-1, width)).split((queries, keys, keys), 1)
        slopes = tuple(
            _norm_back(slope.mul_(norm), part * (rms := _rms(part, eps)), rms)
            for slope, norm, part in zip(slopes, norms, before, strict=False)
        )
    dy[:, :queries], dy[:, queries : queries + keys], dy[:, queries + keys :] = *slopes, dvalue
    return dy.flatten(1)


def _rms(x: Tensor, eps: float) -> Tensor:
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return length.square_().div_(x.shape[-1]).add_(eps).rsqrt_()


def _norm_back(along: Tensor, unit: Tensor, rms: Tensor) -> Tensor:
    """The slope of x, written over `along`, the slope of x / rms(x)."""
    mean = torch.linalg.vecdot(along, unit).div_(unit.shape[-1])[..., None]
    return along.addcmul_(unit, mean, value=-1).mul_(rms)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """`fused.rotate` half by half; with -sin it turns back."""
    half = x.shape[-1] // 2
    cos, sin = cos[:, None, :half].to(x.dtype), sin[:, None, :half].to(x.dtype)
    first, second = x[..., :half], x[..., half:]
    turned = torch.empty_like(x, memory_format=torch.contiguous_format)
    torch.mul(first, cos, out=turned[..., :half]).addcmul_(second, sin, value=-1)
    torch.mul(second, cos, out=turned[..., half:]).addcmul_(first, sin)
    return turned
