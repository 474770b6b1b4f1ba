"""The elementwise parts of the fused layers for a CPU, in float32 or float64: few temporaries, sums as products.

The same functions as `triton_passes`; the twins in the simplest form stand in `fused`.

# T = tokens, D = width, H = query heads, G = key/value heads, W = width of a head, F = width of the MLP
"""

import torch
from torch import Tensor
from torch.nn import functional


def rms_norm(x: Tensor, weight: Tensor, eps: float, border: int = 0) -> Tensor:
    result, unit = _bordered(x, border)
    torch.mul(x, _rms(x, eps), out=unit).mul_(weight)
    return result


def add_rms_norm(x: Tensor, y: Tensor, weight: Tensor, eps: float, border: int = 0) -> tuple[Tensor, Tensor]:
    y.add_(x)
    return y, rms_norm(y, weight, eps, border)


def rms_norm_back(
    slope: Tensor, x: Tensor, weight: Tensor, eps: float, added: Tensor | None, border: int = 0
) -> tuple[Tensor, Tensor]:
    rms = _rms(x, eps)
    unit = x * rms
    result, dx = _bordered(x, border)
    _norm_back(torch.mul(slope, weight, out=dx), unit, rms)
    if added is not None:
        dx.add_(added)
    return result, unit.mul_(weight)


def swiglu(wide: Tensor, border: int = 0) -> Tensor:
    gate, up = wide.chunk(2, -1)
    result, act = _bordered(gate, border)
    torch.mul(functional.silu(gate), up, out=act)
    return result


def swiglu_back(slope: Tensor, wide: Tensor, border: int = 0) -> tuple[Tensor, Tensor]:
    gate, up = wide.chunk(2, -1)
    act = functional.silu(gate)
    dwide, inner = _bordered(wide, border)
    dgate, dup = inner.chunk(2, -1)
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
    border: int = 0,
) -> Tensor:
    tokens, queries, width = dquery.shape
    keys = dkey.shape[1]
    whole = dquery.new_empty(tokens, (queries + 2 * keys) * width + border)
    dy = whole[:, : whole.shape[1] - border].unflatten(-1, (-1, width))
    slopes = _rotate(dquery, cos, -sin), _rotate(dkey, cos, -sin)
    if norms and y is not None:
        before = y.unflatten(-1, (-1, width)).split((queries, keys, keys), 1)
        slopes = tuple(
            _norm_back(slope.mul_(norm), part * (rms := _rms(part, eps)), rms)
            for slope, norm, part in zip(slopes, norms, before, strict=False)
        )
    dy[:, :queries], dy[:, queries : queries + keys], dy[:, queries + keys :] = *slopes, dvalue
    return whole


def _bordered(x: Tensor, border: int) -> tuple[Tensor, Tensor]:
    """Room for x and the border's columns beside it, and the part of it that is x's."""
    whole = x.new_empty(*x.shape[:-1], x.shape[-1] + border)
    return whole, whole[..., : x.shape[-1]]


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
