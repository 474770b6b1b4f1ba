"""Attention of a step over the cache's pages as Triton kernels; `reference.attend` has the contract.

Split keys: Dao et al. 2023 (Flash-Decoding), https://crfm.stanford.edu/2023/10/12/flashdecoding.html.

# T = rows, H = query heads, G = key/value heads, W = width of a head, P = pages of a row, C = positions in the cache
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

KEYS = 64
"""Positions of the cache that are read together."""
PROGRAMS = 264
"""Two for each multiprocessor of an H100 or H200: fewer leave some idle, so keys are split further."""
MAX_SPLITS = 8
ROWS = 16
"""Query heads of a tile: the least that a tensor core's product takes."""


def attend(
    query_THW: Tensor, keys_CGW: Tensor, values_CGW: Tensor, pages_TP: Tensor, lengths_T: Tensor, page_size: int
) -> Tensor:
    """See `reference.attend`."""
    rows, heads, width = query_THW.shape
    keys = keys_CGW.shape[1]
    splits = max(1, min(MAX_SPLITS, PROGRAMS // (rows * keys)))
    mixed = torch.empty_like(query_THW)
    group, block = heads // keys, max(16, triton.next_power_of_2(width))
    shape = (rows, keys, splits, ROWS) if splits > 1 else (1, 1, 1, 1)
    partial = torch.empty(*shape, block, dtype=torch.float32, device=query_THW.device)
    sums = torch.empty(2, *shape, dtype=torch.float32, device=query_THW.device)
    _attend[(rows, keys, splits)](
        query_THW, keys_CGW, values_CGW, pages_TP, lengths_T, mixed, partial, sums[0], sums[1],
        pages_TP.stride(0), width**-0.5,
        G=keys, GROUP=group, W=width, WB=block, PAGE=page_size, KEYS=KEYS, SPLITS=splits, ROWS=ROWS, num_warps=4,
    )  # fmt: skip
    if splits > 1:
        _combine[(rows, keys)](
            partial,
            sums[0],
            sums[1],
            mixed,
            G=keys,
            GROUP=group,
            W=width,
            WB=block,
            SPLITS=splits,
            ROWS=ROWS,
            num_warps=4,
        )
    return mixed


@triton.jit
def _attend(
    query, keys, values, pages, lengths, mixed, partial, largest, sums,
    page_stride, scale,
    G: tl.constexpr, GROUP: tl.constexpr, W: tl.constexpr, WB: tl.constexpr,
    PAGE: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    row, head, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    members, cols = tl.arange(0, ROWS), tl.arange(0, WB)
    length = tl.load(lengths + row)
    share = tl.cdiv(tl.cdiv(length, KEYS), SPLITS) * KEYS
    begin, end = split * share, tl.minimum((split + 1) * share, length)
    at = (row.to(tl.int64) * G * GROUP + head * GROUP + members[:, None]) * W + cols[None, :]
    is_valid = (members[:, None] < GROUP) & (cols[None, :] < W)
    q = tl.load(query + at, mask=is_valid, other=0.0)
    most = tl.full((ROWS,), -1e30, tl.float32)
    total = tl.zeros((ROWS,), tl.float32)
    acc = tl.zeros((ROWS, WB), tl.float32)
    for start in range(begin, end, KEYS):
        steps = start + tl.arange(0, KEYS)
        here = steps < end
        page = tl.load(pages + row.to(tl.int64) * page_stride + steps // PAGE, mask=here, other=0)
        position = page.to(tl.int64) * PAGE + steps % PAGE
        into = (position[:, None] * G + head) * W + cols[None, :]
        tile = here[:, None] & (cols[None, :] < W)
        k = tl.load(keys + into, mask=tile, other=0.0)
        scores = tl.dot(q, tl.trans(k), input_precision="ieee") * scale
        scores = tl.where(here[None, :], scores, -1e30)
        higher = tl.maximum(most, tl.max(scores, 1))
        weights = tl.exp(scores - higher[:, None])
        fade = tl.exp(most - higher)
        total = total * fade + tl.sum(weights, 1)
        most = higher
        v = tl.load(values + into, mask=tile, other=0.0)
        acc = acc * fade[:, None] + tl.dot(weights.to(v.dtype), v, input_precision="ieee")
    if SPLITS == 1:
        tl.store(mixed + at, (acc / total[:, None]).to(mixed.dtype.element_ty), mask=is_valid)
    else:
        slot = ((row.to(tl.int64) * G + head) * SPLITS + split) * ROWS + members
        tl.store(largest + slot, most)
        tl.store(sums + slot, total)
        tl.store(partial + slot[:, None] * WB + cols[None, :], acc)


@triton.jit
def _combine(
    partial, largest, sums, mixed,
    G: tl.constexpr, GROUP: tl.constexpr, W: tl.constexpr, WB: tl.constexpr, SPLITS: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    row, head = tl.program_id(0), tl.program_id(1)
    members, cols = tl.arange(0, ROWS), tl.arange(0, WB)
    most = tl.full((ROWS,), -1e30, tl.float32)
    total = tl.zeros((ROWS,), tl.float32)
    acc = tl.zeros((ROWS, WB), tl.float32)
    for split in tl.static_range(SPLITS):
        slot = ((row.to(tl.int64) * G + head) * SPLITS + split) * ROWS + members
        part_max, count = tl.load(largest + slot), tl.load(sums + slot)
        higher = tl.maximum(most, part_max)
        fade, weight = tl.exp(most - higher), tl.exp(part_max - higher)
        acc = acc * fade[:, None] + tl.load(partial + slot[:, None] * WB + cols[None, :]) * weight[:, None]
        total = total * fade + count * weight
        most = higher
    at = (row.to(tl.int64) * G * GROUP + head * GROUP + members[:, None]) * W + cols[None, :]
    is_valid = (members[:, None] < GROUP) & (cols[None, :] < W)
    tl.store(mixed + at, (acc / total[:, None]).to(mixed.dtype.element_ty), mask=is_valid)
