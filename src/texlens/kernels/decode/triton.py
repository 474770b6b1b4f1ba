"""A decoding step's parts as Triton kernels; `reference` has their contracts.

A step moves few bytes besides the weights, so what counts is how few kernels there are: the adapters' share, norms,
rotary embedding and the write into the cache are part of the kernel that reads a product's result anyway.
Triton: Tillet et al. 2019.

# T = rows, D = width, H = query heads, G = key/value heads, W = width of a head, F = width of the MLP
# R = ranks of all adapters, P = pages of a row, V = vocabulary
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from texlens.kernels.decode.lora import Product, RowLora
from texlens.kernels.decode.reference import HeadShape
from texlens.kernels.decode.triton_attention import attend
from texlens.kernels.decode.triton_drawn import drawn
from texlens.kernels.decode.triton_likeliest import likeliest

__all__ = ["add_norm", "attend", "drawn", "likeliest", "norm", "split_heads", "swiglu"]

ROWS = 16
"""Rows of a tile: the least that a tensor core's product takes."""


class Tile(NamedTuple):
    """Rows and columns of a program's tile, and its warps."""

    rows: int
    columns: int
    warps: int


STEP_TILE = Tile(ROWS, 128, 4)
PROMPT_TILE = Tile(32, 128, 4)
"""Where there are thousands of rows: the fastest of those in benchmarks/decode_kernels.py."""
HEAD_TILE = Tile(16, 0, 2)
"""The same of the split into heads; a head is as wide as it is."""
MANY_ROWS = 1024
"""From so many rows on, what a kernel would do row by row is a matrix product of its own."""


def norm(x_TD: Tensor, weight_D: Tensor, eps: float) -> Tensor:
    """See `reference.norm`."""
    tokens, width = x_TD.shape
    normed_TD = torch.empty_like(x_TD)
    block = triton.next_power_of_2(width)
    _add_norm[(tokens,)](
        x_TD, x_TD, x_TD, x_TD, x_TD, x_TD, weight_D, x_TD, normed_TD, width, 0, 0, 0, eps,
        R=0, ADD=False, BLOCK=block, RB=4, num_warps=_warps(block),
    )  # fmt: skip
    return normed_TD


def add_norm(x_TD: Tensor, product: Product, weight_D: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """See `reference.add_norm`."""
    tokens, width = x_TD.shape
    columns, lora = product
    if lora is not None and tokens > MANY_ROWS:
        sum_TD = _sum_of(x_TD, columns, lora)
        return sum_TD, norm(sum_TD, weight_D, eps)
    sum_TD, normed_TD = torch.empty_like(x_TD), torch.empty_like(x_TD)
    block = triton.next_power_of_2(width)
    a_out, up, gates, gate_row, strides, ranks = _lora_arguments(columns, lora)
    _add_norm[(tokens,)](
        x_TD, columns, a_out, up, gates, gate_row, weight_D, sum_TD, normed_TD,
        width, columns.stride(0), *strides[:2], eps,
        R=ranks, ADD=True, BLOCK=block, RB=4, num_warps=_warps(block),
    )  # fmt: skip
    return sum_TD, normed_TD


def split_heads(
    product: Product,
    heads: HeadShape,
    cos_TW: Tensor,
    sin_TW: Tensor,
    keys_CGW: Tensor,
    values_CGW: Tensor,
    at_T: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """See `reference.split_heads`."""
    columns, lora = product
    tokens, queries, keys, width = len(columns), heads.queries, heads.keys, heads.width
    query = columns.new_empty(tokens, queries, width)
    key, value = columns.new_empty(tokens, keys, width), columns.new_empty(tokens, keys, width)
    a_out, up, gates, gate_row, strides, ranks = _lora_arguments(columns, lora)
    sections = lora.sections if lora is not None else (0, 0, 0, 0)
    normed = heads.query_norm is not None and heads.key_norm is not None
    many, tile = tokens > MANY_ROWS, HEAD_TILE if tokens > MANY_ROWS else STEP_TILE
    _split_heads[(triton.cdiv(tokens, tile.rows), queries + 2 * keys)](
        columns, a_out, up, gates, gate_row,
        heads.query_norm if normed else cos_TW, heads.key_norm if normed else cos_TW, cos_TW, sin_TW, at_T,
        query, key, value, keys_CGW, values_CGW,
        tokens, columns.stride(0), *strides, heads.eps,
        *sections,
        R=ranks, H=queries, G=keys, HALF=width // 2, NORM=normed, GATED=many,
        BT=tile.rows, BH=triton.next_power_of_2(width // 2), RB=_rank_block(ranks) if many else ROWS,
        num_warps=tile.warps,
    )  # fmt: skip
    return query, key, value


def swiglu(product: Product) -> Tensor:
    """See `reference.swiglu`."""
    columns, lora = product
    tokens, width = len(columns), columns.shape[1] // 2
    act_TF = columns.new_empty(tokens, width)
    a_out, up, gates, gate_row, strides, ranks = _lora_arguments(columns, lora)
    sections = lora.sections if lora is not None else (0, 0, 0)
    many, tile = tokens > MANY_ROWS, PROMPT_TILE if tokens > MANY_ROWS else STEP_TILE
    _swiglu[(triton.cdiv(tokens, tile.rows), triton.cdiv(width, tile.columns))](
        columns, a_out, up, gates, gate_row, act_TF,
        tokens, width, columns.stride(0), *strides,
        *sections,
        R=ranks, GATED=many, BT=tile.rows, BF=tile.columns, RB=_rank_block(ranks) if many else ROWS,
        num_warps=tile.warps,
    )  # fmt: skip
    return act_TF


def _sum_of(x_TD: Tensor, columns: Tensor, lora: RowLora) -> Tensor:
    """x plus the complete product, of many rows."""
    tokens, width = x_TD.shape
    sum_TD, gated_TR, tile = torch.empty_like(x_TD), lora.gated(), PROMPT_TILE
    _add_product[(triton.cdiv(tokens, tile.rows), triton.cdiv(width, tile.columns))](
        x_TD, columns, gated_TR, lora.up, sum_TD,
        tokens, width, columns.stride(0), gated_TR.stride(0), lora.up.stride(0),
        R=lora.ranks, BT=tile.rows, BF=tile.columns, RB=_rank_block(lora.ranks), num_warps=tile.warps,
    )  # fmt: skip
    return sum_TD


def _rank_block(ranks: int) -> int:
    """Ranks that one product of the tensor cores takes where all are read."""
    return 32 if ranks > ROWS else ROWS


class _LoraArguments(NamedTuple):
    """What a kernel takes of the adapters; `strides` of `a_out`, `gates` and `up`."""

    a_out: Tensor
    up: Tensor
    gates: Tensor
    gate_row: Tensor
    strides: tuple[int, int, int]
    ranks: int


def _lora_arguments(columns: Tensor, lora: RowLora | None) -> _LoraArguments:
    """Of many rows the A outputs have their gates already: one small product instead of two loads in each tile."""
    if lora is None:
        return _LoraArguments(columns, columns, columns, columns, (0, 0, 0), 0)
    a_out = lora.gated() if len(columns) > MANY_ROWS else lora.a_out
    strides = a_out.stride(0), lora.gates.stride(0), lora.up.stride(0)
    return _LoraArguments(a_out, lora.up, lora.gates, lora.gate_row, strides, lora.ranks)


def _warps(block: int) -> int:
    return min(16, max(1, block // 512))


@triton.jit
def _add_norm(
    x, columns, a_out, up, gates, gate_row, weight, total, normed,
    width, stride, a_stride, gate_stride, eps,
    R: tl.constexpr, ADD: tl.constexpr, BLOCK: tl.constexpr, RB: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0)
    cols = tl.arange(0, BLOCK)
    mask = cols < width
    value = tl.load(x + row * width + cols, mask=mask, other=0.0).to(tl.float32)
    if ADD:
        value += tl.load(columns + row.to(tl.int64) * stride + cols, mask=mask, other=0.0).to(tl.float32)
        if R > 0:
            gate_at = gates + tl.load(gate_row + row).to(tl.int64) * gate_stride
            lora_a_out = a_out + row.to(tl.int64) * a_stride
            for first in tl.static_range(0, R, RB):
                ranks = first + tl.arange(0, RB)
                share = tl.load(lora_a_out + ranks).to(tl.float32) * tl.load(gate_at + ranks).to(tl.float32)
                tile = tl.load(up + ranks[:, None] * width + cols[None, :], mask=mask[None, :], other=0.0)
                value += tl.sum(tile.to(tl.float32) * share[:, None], 0)
        value = value.to(total.dtype.element_ty)
        tl.store(total + row * width + cols, value, mask=mask)
        value = value.to(tl.float32)
    scale = 1 / tl.sqrt(tl.sum(value * value, 0) / width + eps)
    unit = (value * scale).to(normed.dtype.element_ty)
    tl.store(normed + row * width + cols, unit * tl.load(weight + cols, mask=mask, other=0.0), mask=mask)


@triton.jit
def _lora_share(
    lora_a_out, lora_a_stride, up, up_stride, gate_at, rows, row_mask, cols, col_mask, first, end, RB: tl.constexpr
):
    """[rows, cols]: the gated ranks `first` to `end` times their rows of `up`."""
    total = tl.zeros((rows.shape[0], cols.shape[0]), tl.float32)
    for start in range(first, end, RB):
        ranks = start + tl.arange(0, RB)
        rank_mask = ranks < end
        both = row_mask[:, None] & rank_mask[None, :]
        left = tl.load(lora_a_out + rows[:, None].to(tl.int64) * lora_a_stride + ranks[None, :], mask=both, other=0.0)
        left *= tl.load(gate_at[:, None] + ranks[None, :], mask=both, other=0.0)
        right_mask = rank_mask[:, None] & col_mask[None, :]
        right = tl.load(up + ranks[:, None] * up_stride + cols[None, :], mask=right_mask, other=0.0)
        total += tl.dot(left, right, input_precision="ieee")
    return total


@triton.jit
def _gated_share(gated, gated_stride, up, up_stride, rows, row_mask, cols, col_mask, R: tl.constexpr, RB: tl.constexpr):
    """[rows, cols]: all ranks, which have their gates, times `up`, which is 0 where a rank has no part in a column."""
    total = tl.zeros((rows.shape[0], cols.shape[0]), tl.float32)
    for start in tl.static_range(0, R, RB):
        ranks = start + tl.arange(0, RB)
        rank_mask = ranks < R
        at = gated + rows[:, None].to(tl.int64) * gated_stride + ranks[None, :]
        left = tl.load(at, mask=row_mask[:, None] & rank_mask[None, :], other=0.0)
        right_mask = rank_mask[:, None] & col_mask[None, :]
        right = tl.load(up + ranks[:, None] * up_stride + cols[None, :], mask=right_mask, other=0.0)
        total += tl.dot(left, right, input_precision="ieee")
    return total


@triton.jit(do_not_specialize=["tokens"])
def _add_product(
    x, columns, gated, up, total,
    tokens, width, stride, gated_stride, up_stride,
    R: tl.constexpr, BT: tl.constexpr, BF: tl.constexpr, RB: tl.constexpr,
):  # fmt: skip
    rows = tl.program_id(0) * BT + tl.arange(0, BT)
    cols = tl.program_id(1) * BF + tl.arange(0, BF)
    row_mask, col_mask = rows < tokens, cols < width
    mask = row_mask[:, None] & col_mask[None, :]
    into = rows[:, None].to(tl.int64) * width + cols[None, :]
    value = tl.load(columns + rows[:, None].to(tl.int64) * stride + cols[None, :], mask=mask, other=0.0).to(tl.float32)
    value += tl.load(x + into, mask=mask, other=0.0).to(tl.float32)
    value += _gated_share(gated, gated_stride, up, up_stride, rows, row_mask, cols, col_mask, R, RB)
    tl.store(total + into, value.to(total.dtype.element_ty), mask=mask)


@triton.jit(do_not_specialize=["tokens"])
def _split_heads(
    columns, a_out, up, gates, gate_row, query_norm, key_norm, cos, sin, at, query, key, value, keys, values,
    tokens, stride, a_stride, gate_stride, up_stride, eps, section_0, section_1, section_2, section_3,
    R: tl.constexpr, H: tl.constexpr, G: tl.constexpr, HALF: tl.constexpr, NORM: tl.constexpr, GATED: tl.constexpr,
    BT: tl.constexpr, BH: tl.constexpr, RB: tl.constexpr,
):  # fmt: skip
    rows = tl.program_id(0) * BT + tl.arange(0, BT)
    head = tl.program_id(1)
    row_mask = rows < tokens
    cols = tl.arange(0, BH)
    col_mask = cols < HALF
    mask = row_mask[:, None] & col_mask[None, :]
    width: tl.constexpr = 2 * HALF
    at_head = columns + rows[:, None].to(tl.int64) * stride + head * width + cols[None, :]
    first = tl.load(at_head, mask=mask, other=0.0).to(tl.float32)
    second = tl.load(at_head + HALF, mask=mask, other=0.0).to(tl.float32)
    if R > 0 and GATED:
        up_head = up + head * width
        first += _gated_share(a_out, a_stride, up_head, up_stride, rows, row_mask, cols, col_mask, R, RB)
        second += _gated_share(a_out, a_stride, up_head + HALF, up_stride, rows, row_mask, cols, col_mask, R, RB)
    elif R > 0:
        begin = tl.where(head < H, section_0, tl.where(head < H + G, section_1, section_2))
        end = tl.where(head < H, section_1, tl.where(head < H + G, section_2, section_3))
        gate_at = gates + tl.load(gate_row + rows, mask=row_mask, other=0).to(tl.int64) * gate_stride
        up_head = up + head * width
        first += _lora_share(
            a_out, a_stride, up_head, up_stride, gate_at, rows, row_mask, cols, col_mask, begin, end, RB
        )
        second += _lora_share(
            a_out, a_stride, up_head + HALF, up_stride, gate_at, rows, row_mask, cols, col_mask, begin, end, RB
        )
    kind = columns.dtype.element_ty
    first, second = first.to(kind).to(tl.float32), second.to(kind).to(tl.float32)
    if head < H + G:
        if NORM:
            scale = 1 / tl.sqrt((tl.sum(first * first, 1) + tl.sum(second * second, 1)) / width + eps)
            weight = query_norm if head < H else key_norm
            low = tl.load(weight + cols, mask=col_mask, other=0.0)[None, :]
            high = tl.load(weight + HALF + cols, mask=col_mask, other=0.0)[None, :]
            first = ((first * scale[:, None]).to(kind) * low).to(kind).to(tl.float32)
            second = ((second * scale[:, None]).to(kind) * high).to(kind).to(tl.float32)
        turn = rows[:, None].to(tl.int64) * width + cols[None, :]
        cosine, sine = tl.load(cos + turn, mask=mask, other=0.0), tl.load(sin + turn, mask=mask, other=0.0)
        first, second = first * cosine - second * sine, second * cosine + first * sine
    first, second = first.to(kind), second.to(kind)
    if head < H:
        into_query = query + (rows[:, None].to(tl.int64) * H + head) * width + cols[None, :]
        tl.store(into_query, first, mask=mask)
        tl.store(into_query + HALF, second, mask=mask)
    else:
        group = (head - H) % G
        to = (rows[:, None].to(tl.int64) * G + group) * width + cols[None, :]
        position = tl.load(at + rows, mask=row_mask, other=0).to(tl.int64)
        into = (position[:, None] * G + group) * width + cols[None, :]
        if head < H + G:
            tl.store(key + to, first, mask=mask)
            tl.store(key + to + HALF, second, mask=mask)
            tl.store(keys + into, first, mask=mask)
            tl.store(keys + into + HALF, second, mask=mask)
        else:
            tl.store(value + to, first, mask=mask)
            tl.store(value + to + HALF, second, mask=mask)
            tl.store(values + into, first, mask=mask)
            tl.store(values + into + HALF, second, mask=mask)


@triton.jit(do_not_specialize=["tokens"])
def _swiglu(
    columns, a_out, up, gates, gate_row, act,
    tokens, width, stride, a_stride, gate_stride, up_stride, section_0, section_1, section_2,
    R: tl.constexpr, GATED: tl.constexpr, BT: tl.constexpr, BF: tl.constexpr, RB: tl.constexpr,
):  # fmt: skip
    rows = tl.program_id(0) * BT + tl.arange(0, BT)
    cols = tl.program_id(1) * BF + tl.arange(0, BF)
    row_mask, col_mask = rows < tokens, cols < width
    mask = row_mask[:, None] & col_mask[None, :]
    at = columns + rows[:, None].to(tl.int64) * stride + cols[None, :]
    gate = tl.load(at, mask=mask, other=0.0).to(tl.float32)
    other = tl.load(at + width, mask=mask, other=0.0).to(tl.float32)
    if R > 0 and GATED:
        gate += _gated_share(a_out, a_stride, up, up_stride, rows, row_mask, cols, col_mask, R, RB)
        other += _gated_share(a_out, a_stride, up + width, up_stride, rows, row_mask, cols, col_mask, R, RB)
    elif R > 0:
        gate_at = gates + tl.load(gate_row + rows, mask=row_mask, other=0).to(tl.int64) * gate_stride
        gate += _lora_share(
            a_out, a_stride, up, up_stride, gate_at, rows, row_mask, cols, col_mask, section_0, section_1, RB
        )
        other += _lora_share(
            a_out, a_stride, up + width, up_stride, gate_at, rows, row_mask, cols, col_mask, section_1, section_2, RB
        )
    kind = columns.dtype.element_ty
    gate, other = gate.to(kind).to(tl.float32), other.to(kind).to(tl.float32)
    result = gate / (1 + tl.exp(-gate)) * other
    tl.store(act + rows[:, None].to(tl.int64) * width + cols[None, :], result.to(kind), mask=mask)
