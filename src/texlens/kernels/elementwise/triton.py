"""The elementwise parts of the fused layers as Triton kernels, each one read and one write of what it must touch.

Twins in plain PyTorch stand in `fused`; the numbers differ by rounding alone. Triton: Tillet et al. 2019.

With a `border`, a result has that many more columns, which the kernels leave alone (`layer` puts the adapters there).

# T = tokens, D = width, H = query heads, G = key/value heads, W = width of a head, F = width of the MLP
"""

import os

import torch
import triton
import triton.language as tl
from torch import Tensor


def rms_norm(x: Tensor, weight: Tensor, eps: float, border: int = 0) -> Tensor:
    """x [T, D] over its root mean square, times weight [D]; [T, D + border], the border not written."""
    tokens, width = x.shape
    result = x.new_empty(tokens, width + border)
    _rms_norm[(tokens,)](x, weight, result, width, width + border, eps, BLOCK=triton.next_power_of_2(width))
    return result


def add_rms_norm(x: Tensor, y: Tensor, weight: Tensor, eps: float, border: int = 0) -> tuple[Tensor, Tensor]:
    """x + y [T, D], written over y, and its norm [T, D + border]."""
    tokens, width = x.shape
    normed = x.new_empty(tokens, width + border)
    block = triton.next_power_of_2(width)
    _add_rms_norm[(tokens,)](x, y, weight, normed, width, width + border, eps, BLOCK=block)
    return y, normed


def rms_norm_back(
    slope: Tensor, x: Tensor, weight: Tensor, eps: float, added: Tensor | None, border: int = 0
) -> tuple[Tensor, Tensor]:
    """The slope of x plus `added` [T, D + border], and the normalized x again [T, D], from one reading of x."""
    tokens, width = x.shape
    dx, normed = x.new_empty(tokens, width + border), torch.empty_like(x)
    other = slope if added is None else added
    _rms_norm_back[(tokens,)](
        slope,
        x,
        weight,
        other,
        dx,
        normed,
        width,
        other.stride(0),
        width + border,
        eps,
        ADD=added is not None,
        BLOCK=triton.next_power_of_2(width),
    )
    return dx, normed


def swiglu(wide: Tensor, border: int = 0) -> Tensor:
    """silu(gate) x up [T, F + border], from gate and up side by side [T, 2F]."""
    tokens, width = wide.shape[0], wide.shape[1] // 2
    result = wide.new_empty(tokens, width + border)
    _swiglu[(tokens, triton.cdiv(width, _COLUMNS))](wide, result, width, width + border, BLOCK=_COLUMNS)
    return result


def swiglu_back(slope: Tensor, wide: Tensor, border: int = 0) -> tuple[Tensor, Tensor]:
    """The slope of `wide` [T, 2F + border], and what `swiglu` gave [T, F], from one reading of `wide`."""
    tokens, width = wide.shape[0], wide.shape[1] // 2
    dwide, result = wide.new_empty(tokens, 2 * width + border), wide.new_empty(tokens, width)
    _swiglu_back[(tokens, triton.cdiv(width, _COLUMNS))](
        slope, wide, dwide, result, width, 2 * width + border, BLOCK=_COLUMNS
    )
    return dwide, result


def into_heads(
    y: Tensor, queries: int, keys: int, width: int, norms: tuple[Tensor, Tensor] | None, eps: float, cos: Tensor, sin
) -> tuple[Tensor, Tensor]:
    """Rotated queries [T, H, W] and keys [T, G, W], normalized where there are norms, from y [T, (H+2G)W]."""
    tokens = len(y)
    query, key = y.new_empty(tokens, queries, width), y.new_empty(tokens, keys, width)
    first, second = norms or (cos, cos)
    _into_heads[(tokens,)](
        y,
        first,
        second,
        cos,
        sin,
        query,
        key,
        y.stride(0),
        eps,
        H=queries,
        G=keys,
        HALF=width // 2,
        NORM=norms is not None,
        HEADS=triton.next_power_of_2(queries + keys),
        BLOCK=triton.next_power_of_2(width // 2),
    )
    return query, key


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
    """The slope of y [T, (H+2G)W + border] from those of queries, keys and values."""
    tokens, queries, width = dquery.shape
    keys = dkey.shape[1]
    dquery, dkey, dvalue = dquery.contiguous(), dkey.contiguous(), dvalue.contiguous()
    dy = dquery.new_empty(tokens, (queries + 2 * keys) * width + border)
    first, second = norms or (cos, cos)
    _into_heads_back[(tokens,)](
        dquery,
        dkey,
        dvalue,
        dy if y is None else y,
        first,
        second,
        cos,
        sin,
        dy,
        dy.stride(0),
        eps,
        H=queries,
        G=keys,
        HALF=width // 2,
        NORM=norms is not None,
        HEADS=triton.next_power_of_2(queries + 2 * keys),
        BLOCK=triton.next_power_of_2(width // 2),
    )
    return dy


_COLUMNS = 2048
INTERPRETED = tl.constexpr(os.environ.get("TRITON_INTERPRET") == "1")


@triton.jit
def _rms_norm(x, weight, result, width, stride, eps, BLOCK: tl.constexpr):
    token = tl.program_id(0).to(tl.int64)
    row = token * width
    place = tl.arange(0, BLOCK)
    inside = place < width
    values = tl.load(x + row + place, inside, other=0.0)
    wide = values.to(tl.float32)
    unit = wide * tl.rsqrt(tl.sum(wide * wide) / width + eps)
    scale = tl.load(weight + place, inside, other=0.0)
    tl.store(result + token * stride + place, (unit.to(values.dtype) * scale).to(values.dtype), inside)


@triton.jit
def _add_rms_norm(x, y, weight, normed, width, stride, eps, BLOCK: tl.constexpr):
    token = tl.program_id(0).to(tl.int64)
    row = token * width
    place = tl.arange(0, BLOCK)
    inside = place < width
    one = tl.load(x + row + place, inside, other=0.0)
    values = (one.to(tl.float32) + tl.load(y + row + place, inside, other=0.0).to(tl.float32)).to(one.dtype)
    wide = values.to(tl.float32)
    unit = wide * tl.rsqrt(tl.sum(wide * wide) / width + eps)
    scale = tl.load(weight + place, inside, other=0.0)
    tl.store(y + row + place, values, inside)
    tl.store(normed + token * stride + place, (unit.to(values.dtype) * scale).to(values.dtype), inside)


@triton.jit
def behind_norm(slope, x, weight, width, eps):
    """The slope of a row x from that of its norm times weight, x over its root mean square, and one over that mean."""
    wide = x.to(tl.float32)
    rms = tl.rsqrt(tl.sum(wide * wide) / width + eps)
    unit = wide * rms
    along = slope.to(tl.float32) * weight.to(tl.float32)
    return (along - unit * (tl.sum(along * unit) / width)) * rms, unit, rms


@triton.jit
def _rms_norm_back(
    slope, x, weight, added, dx, normed, width, added_stride, stride, eps, ADD: tl.constexpr, BLOCK: tl.constexpr
):
    token = tl.program_id(0).to(tl.int64)
    row = token * width
    place = tl.arange(0, BLOCK)
    inside = place < width
    values = tl.load(x + row + place, inside, other=0.0)
    scale = tl.load(weight + place, inside, other=0.0)
    result, unit, _ = behind_norm(tl.load(slope + row + place, inside, other=0.0), values, scale, width, eps)
    if ADD:
        result += tl.load(added + token * added_stride + place, inside, other=0.0).to(tl.float32)
    tl.store(dx + token * stride + place, result.to(values.dtype), inside)
    tl.store(normed + row + place, (unit.to(values.dtype) * scale).to(values.dtype), inside)


@triton.jit
def sigmoid(x):
    """1 / (1 + 2^(-x log2 e)) in four instructions; the library's takes eleven to be right for denormal numbers too."""
    if INTERPRETED:
        y = tl.sigmoid(x)
    else:
        y = tl.inline_asm_elementwise(
            "{ .reg .f32 t; mul.ftz.f32 t, $1, 0fBFB8AA3B; ex2.approx.ftz.f32 t, t; add.ftz.f32 t, t, 0f3F800000; "
            "rcp.approx.ftz.f32 $0, t; }",
            "=f,f", [x], tl.float32, is_pure=True, pack=1,
        )  # fmt: skip
    return y


@triton.jit
def activated(half, up):
    """silu(gate), rounded to the numbers' own kind, x up."""
    gate = half.to(tl.float32)
    silu = (gate * sigmoid(gate)).to(half.dtype)
    return (silu.to(tl.float32) * up.to(tl.float32)).to(half.dtype)


@triton.jit
def leaned(slope, half, up):
    """The slopes of gate and up, and `activated`."""
    gate, along, right = half.to(tl.float32), slope.to(tl.float32), up.to(tl.float32)
    switch = sigmoid(gate)
    silu = gate * switch
    dgate = along * right * switch * (1 + gate * (1 - switch))
    act = (silu.to(half.dtype).to(tl.float32) * right).to(half.dtype)
    return dgate.to(half.dtype), (along * silu).to(half.dtype), act


@triton.jit
def _swiglu(wide, result, width, stride, BLOCK: tl.constexpr):
    row, place = tl.program_id(0).to(tl.int64), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = place < width
    half = tl.load(wide + row * 2 * width + place, inside, other=0.0)
    up = tl.load(wide + row * 2 * width + width + place, inside, other=0.0)
    tl.store(result + row * stride + place, activated(half, up), inside)


@triton.jit
def _swiglu_back(slope, wide, dwide, result, width, stride, BLOCK: tl.constexpr):
    row, place = tl.program_id(0).to(tl.int64), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = place < width
    half = tl.load(wide + row * 2 * width + place, inside, other=0.0)
    up = tl.load(wide + row * 2 * width + width + place, inside, other=0.0)
    along = tl.load(slope + row * width + place, inside, other=0.0)
    dgate, dup, act = leaned(along, half, up)
    tl.store(dwide + row * stride + place, dgate, inside)
    tl.store(dwide + row * stride + width + place, dup, inside)
    tl.store(result + row * width + place, act, inside)


@triton.jit
def _into_heads(
    y, first, second, cos, sin, query, key, stride, eps,
    H: tl.constexpr, G: tl.constexpr, HALF: tl.constexpr, NORM: tl.constexpr, HEADS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    token = tl.program_id(0).to(tl.int64)
    head, place = tl.arange(0, HEADS)[:, None], tl.arange(0, BLOCK)[None]
    inside = (head < H + G) & (place < HALF)
    at = y + token * stride + head * 2 * HALF + place
    low, high = tl.load(at, inside, other=0.0), tl.load(at + HALF, inside, other=0.0)
    kind = low.dtype
    left, right = low.to(tl.float32), high.to(tl.float32)
    if NORM:
        rms = tl.rsqrt((tl.sum(left * left, 1) + tl.sum(right * right, 1))[:, None] / (2 * HALF) + eps)
        is_query, there = head < H, place < HALF
        for_query, for_key = is_query & there, (head >= H) & there
        scale = tl.load(first + place + head * 0, for_query, other=0.0)
        scale += tl.load(second + place + head * 0, for_key, other=0.0)
        scale_high = tl.load(first + HALF + place + head * 0, for_query, other=0.0)
        scale_high += tl.load(second + HALF + place + head * 0, for_key, other=0.0)
        left = ((left * rms).to(kind) * scale).to(kind).to(tl.float32)
        right = ((right * rms).to(kind) * scale_high).to(kind).to(tl.float32)
    turn = token * 2 * HALF + place
    cosine, sine = tl.load(cos + turn, place < HALF, other=0.0), tl.load(sin + turn, place < HALF, other=0.0)
    turned_low, turned_high = left * cosine - right * sine, right * cosine + left * sine
    to_query = query + (token * H + head) * 2 * HALF + place
    tl.store(to_query, turned_low.to(kind), inside & (head < H))
    tl.store(to_query + HALF, turned_high.to(kind), inside & (head < H))
    to_key = key + (token * G + head - H) * 2 * HALF + place
    tl.store(to_key, turned_low.to(kind), inside & (head >= H))
    tl.store(to_key + HALF, turned_high.to(kind), inside & (head >= H))


@triton.jit
def _into_heads_back(
    dquery, dkey, dvalue, y, first, second, cos, sin, dy, stride, eps,
    H: tl.constexpr, G: tl.constexpr, HALF: tl.constexpr, NORM: tl.constexpr, HEADS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    token = tl.program_id(0).to(tl.int64)
    head, place = tl.arange(0, HEADS)[:, None], tl.arange(0, BLOCK)[None]
    there = place < HALF
    is_query, is_key = (head < H) & there, (head >= H) & (head < H + G) & there
    is_value = (head >= H + G) & (head < H + 2 * G) & there
    turned = is_query | is_key
    at_query = dquery + (token * H + head) * 2 * HALF + place
    at_key = dkey + (token * G + head - H) * 2 * HALF + place
    low = tl.load(at_query, is_query, other=0.0)
    kind = low.dtype
    left = low.to(tl.float32) + tl.load(at_key, is_key, other=0.0).to(tl.float32)
    right = tl.load(at_query + HALF, is_query, other=0.0).to(tl.float32)
    right += tl.load(at_key + HALF, is_key, other=0.0).to(tl.float32)
    turn = token * 2 * HALF + place
    cosine, sine = tl.load(cos + turn, there, other=0.0), tl.load(sin + turn, there, other=0.0)
    dleft, dright = left * cosine + right * sine, right * cosine - left * sine
    row = (token * (H + 2 * G) + head) * 2 * HALF + place
    if NORM:
        dleft, dright = dleft.to(kind).to(tl.float32), dright.to(kind).to(tl.float32)
        before = tl.load(y + row, turned, other=0.0).to(tl.float32)
        behind = tl.load(y + row + HALF, turned, other=0.0).to(tl.float32)
        rms = tl.rsqrt((tl.sum(before * before, 1) + tl.sum(behind * behind, 1))[:, None] / (2 * HALF) + eps)
        before, behind = before * rms, behind * rms
        dleft *= tl.load(first + place + head * 0, is_query, other=0.0).to(tl.float32) + tl.load(
            second + place + head * 0, is_key, other=0.0
        ).to(tl.float32)
        dright *= tl.load(first + HALF + place + head * 0, is_query, other=0.0).to(tl.float32) + tl.load(
            second + HALF + place + head * 0, is_key, other=0.0
        ).to(tl.float32)
        along = (tl.sum(dleft * before, 1) + tl.sum(dright * behind, 1))[:, None] / (2 * HALF)
        dleft, dright = (dleft - before * along) * rms, (dright - behind * along) * rms
    to = dy + token * stride + head * 2 * HALF + place
    tl.store(to, dleft.to(kind), turned)
    tl.store(to + HALF, dright.to(kind), turned)
    at_value = dvalue + (token * G + head - H - G) * 2 * HALF + place
    tl.store(to, tl.load(at_value, is_value, other=0.0), is_value)
    tl.store(to + HALF, tl.load(at_value + HALF, is_value, other=0.0), is_value)
