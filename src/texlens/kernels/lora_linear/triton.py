"""LoRA products as Triton kernels that read each large tensor once: launches and tile sizes.

The references are `fused_linear.lora_b_backward`, and for the norms `decoder_layer.layer` and `FusedLinearBase`. Sums
are in float32, in parts that are added in a fixed order: equal runs give equal numbers.

# T = tokens, D = width in, N = width out, R = adapter ranks side by side, padded
"""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import triton
from jaxtyping import Float
from torch import Tensor

from texlens.kernels.adapter import Adapter
from texlens.kernels.fp8.format import FP8_DTYPE, padded_columns
from texlens.kernels.lora_linear.triton_kernels import (
    lora_b_backward_kernel,
    norm_lora_a_kernel,
    norm_quantize_kernel,
    reduce_kernel,
    rms_norm_backward_kernel,
    write_adapters_kernel,
)

_REDUCE_ROWS = 64


class LoraTile(NamedTuple):
    """Tile and launch options.

    Args:
        rows, columns: of a tile, powers of two; columns at least 64 for `lora_b_backward`.
        programs: at most so many.
        max_ranks: of an adapter in one program; more are split into blocks, each of which reads the tensor again.
    """

    rows: int
    columns: int
    warps: int
    stages: int
    programs: int = 792
    max_ranks: int = 64


LORA_B_BACKWARD_TILES = LoraTile(64, 256, 8, 4, 264), LoraTile(64, 128, 8, 3, 264, 128)
"""For at most 64 ranks in an adapter, and for more: with 256 columns, 128 ranks would need 294,912 bytes of shared
memory of the 232,448 that an H200 has. The first is the fastest tried on an H200 with 132 multiprocessors, for 32,768
tokens (`benchmarks/lora_kernels.py`), as is `NORM_QUANTIZE_TILE`."""
NORM_QUANTIZE_TILE = LoraTile(64, 128, 4, 3)


class _Plan(NamedTuple):
    """How a gradient [T, N] is split into blocks of columns, and the adapters into blocks of ranks.

    Args:
        blocks: int32 [blocks, 6]: first and last column, first and last rank, offset in the output, block of ranks.
        rank_blocks: int32 [rank blocks, 4]: first and last block, first and last rank.
        scales: float32 [rank blocks, 3]: scaling, ranks of the adapter, ranks of the block.
        values: of all LoRA B together.
    """

    blocks: Tensor
    rank_blocks: Tensor
    scales: Tensor
    values: int
    constants: dict[str, int]

    @property
    def ranks(self) -> int:
        return self.constants["RANKS"]


def lora_b_backward(
    grad: Float[Tensor, "T N"],
    lora_b: Float[Tensor, "N R"],
    lora_a_out: Float[Tensor, "T R"],
    adapters: Sequence[Adapter],
    extra_columns: Float[Tensor, "T R"] | None = None,
    tile: LoraTile | None = None,
) -> tuple[Float[Tensor, "T R"], tuple[Float[Tensor, "_ _"], ...]]:
    """grad @ lora_b, written into `extra_columns` too, and the gradients of each adapter's LoRA B in float32.

    Args:
        grad: rows may be strided; `lora_b`: scaled, rows may be strided.
        adapters: their columns side by side from 0 on.
    """
    tokens = len(grad)
    tile = tile or LORA_B_BACKWARD_TILES[max(len(adapter.lora_a) for adapter in adapters) > 64]
    plan = _plan(tuple(map(_key, adapters)), lora_b.shape[1], tile.columns, tile.max_ranks, grad.device)
    blocks = len(plan.blocks)
    chunk = triton.cdiv(triton.cdiv(tokens, max(1, tile.programs // blocks)), tile.rows) * tile.rows
    chunks = triton.cdiv(tokens, chunk)
    partial_sums = torch.empty(blocks, tokens, plan.ranks, dtype=torch.float32, device=grad.device)
    sums = torch.empty(chunks, blocks * tile.columns, plan.ranks, dtype=torch.float32, device=grad.device)
    lora_b_backward_kernel[(blocks, chunks)](
        grad, lora_b, lora_a_out, plan.blocks, partial_sums, sums, tokens, chunk,
        grad.stride(0), lora_b.stride(0), lora_a_out.stride(0),
        ROWS=tile.rows, COLUMNS=tile.columns, **plan.constants, num_warps=tile.warps, num_stages=tile.stages,
    )  # fmt: skip
    grad_lora_a_out = lora_a_out.new_empty(tokens, lora_b.shape[1])
    grad_lora_b = torch.empty(plan.values, dtype=torch.float32, device=grad.device)
    columns_out = grad_lora_a_out if extra_columns is None else extra_columns
    tiles = triton.cdiv(tokens, _REDUCE_ROWS) * len(plan.rank_blocks)
    reduce_kernel[(tiles + blocks * (tile.columns // _REDUCE_ROWS),)](
        partial_sums, sums, plan.blocks, plan.rank_blocks, plan.scales, grad_lora_a_out, columns_out, grad_lora_b,
        tokens, chunks, blocks, tiles, grad_lora_a_out.stride(0), columns_out.stride(0), len(plan.rank_blocks),
        TILE=_REDUCE_ROWS, COLUMNS=tile.columns, RANKS=plan.ranks, ALIGNED=plan.constants["ALIGNED"],
        EXTRA_COLUMNS=extra_columns is not None,
    )  # fmt: skip
    shapes = [adapter.lora_b.shape for adapter in adapters]
    parts = grad_lora_b.split([shape.numel() for shape in shapes])
    return grad_lora_a_out, tuple(part.view(shape) for part, shape in zip(parts, shapes, strict=True))


def write_adapters(adapters: Sequence[Adapter], lora_b: Float[Tensor, "N R"], lora_a: Float[Tensor, "R D"]) -> None:
    """Copies all LoRA B, scaled, and all LoRA A into two parts of a weight, whose rows may be strided; four adapters a
    launch. Their matrices are contiguous."""
    for start in range(0, len(adapters), _WRITTEN):
        group = tuple(adapters[start : start + _WRITTEN])
        table, scalings = _places(tuple(map(_key, group)), lora_b.device)
        largest = max(part.numel() for adapter in group for part in (adapter.lora_a, adapter.lora_b))
        filled = (*group, *(group[:1] * (_WRITTEN - len(group))))
        write_adapters_kernel[(triton.cdiv(largest, 1024), len(group), 2)](
            *(adapter.lora_a for adapter in filled), *(adapter.lora_b for adapter in filled), table, scalings,
            lora_a, lora_b, lora_a.shape[1], lora_a.stride(0), lora_b.stride(0), BLOCK=1024,
        )  # fmt: skip


_WRITTEN = 4


@functools.lru_cache(maxsize=1024)
def _places(keys: "tuple[_Key, ...]", device: torch.device) -> tuple[Tensor, Tensor]:
    """int32 [adapters, 4]: first row, rows, first column, ranks; and their scalings in float32."""
    table = [(start, stop - start, left, right - left) for start, stop, left, right, _ in keys]
    scalings = torch.tensor([scaling for *_, scaling in keys], device=device)
    return torch.tensor(table, dtype=torch.int32, device=device), scalings


_Key = tuple[int, int, int, int, float]


def _key(adapter: Adapter) -> _Key:
    return adapter.rows.start, adapter.rows.stop, adapter.columns.start, adapter.columns.stop, float(adapter.scaling)


@functools.lru_cache(maxsize=256)
def _plan(keys: tuple[_Key, ...], extra_columns: int, columns: int, max_ranks: int, device: torch.device) -> _Plan:
    """The last block of ranks takes the padding columns. Positions are stored in units of a power of two that divides
    all of them, so that the compiler knows the alignment."""
    row_unit = math.gcd(16, *(bound for start, stop, *_ in keys for bound in (start, stop)))
    rank_unit = math.gcd(16, extra_columns, max_ranks, *(left for _, _, left, *_ in keys))
    blocks, rank_blocks, scales, values = [], [], [], 0
    for start, stop, left, right, scaling in keys:
        ranks = right - left
        for first_rank in range(left, right, max_ranks):
            last_rank = min(first_rank + max_ranks, right)
            is_last = right == keys[-1][3] and last_rank == right
            end_rank = extra_columns if is_last else last_rank
            first_block = len(blocks)
            for first in range(start, stop, columns):
                bounds = first // row_unit, stop // row_unit, first_rank // rank_unit, end_rank // rank_unit
                offset = values + (first - start) * ranks + first_rank - left
                blocks.append((*bounds, offset, len(rank_blocks)))
            rank_blocks.append((first_block, len(blocks), first_rank, end_rank))
            scales.append((scaling, ranks, last_rank - first_rank))
        values += (stop - start) * ranks
    widest = max(end - left for _, _, left, end in rank_blocks)
    constants = {"RANKS": max(16, triton.next_power_of_2(widest)), "ALIGNED": row_unit, "RANKED": rank_unit}
    tables = [torch.tensor(table, dtype=torch.int32).to(device) for table in (blocks, rank_blocks)]
    return _Plan(tables[0], tables[1], torch.tensor(scales, dtype=torch.float32).to(device), values, constants)


def norm_quantize(
    x: Float[Tensor, "T D"],
    weight: Float[Tensor, " D"],
    eps: float,
    lora_a: Float[Tensor, "R D"],
    rescale: Float[Tensor, "1"],
    residual: Float[Tensor, "T D"] | None = None,
    tile: LoraTile | None = None,
) -> tuple[tuple[Float[Tensor, "T columns"], Float[Tensor, "T 1"]], Float[Tensor, "T R"]]:
    """The norm of x, or of x + `residual`, in float8 with its product with lora_a.T appended; and that product.

    Of the large tensors, only the sum is written in 16 bits, over `residual`. The LoRA A output is computed from x
    itself and divided by the root mean squares afterwards.
    """
    tokens, width = x.shape
    ranks, tile = len(lora_a), tile or NORM_QUANTIZE_TILE
    padding, lora_a_out = padded_columns(ranks), x.new_empty(tokens, ranks)
    source = x if residual is None else residual
    rank_block = min(max(16, triton.next_power_of_2(ranks)), tile.max_ranks)
    norm_lora_a_kernel[(triton.cdiv(tokens, tile.rows),)](
        x, source, weight, lora_a, lora_a_out, tokens, width, ranks, lora_a.stride(0), eps,
        ADD=residual is not None, ROWS=tile.rows, COLUMNS=tile.columns, RANKS=rank_block,
        RANK_BLOCKS=triton.cdiv(ranks, rank_block), num_warps=tile.warps, num_stages=tile.stages,
    )  # fmt: skip
    quantized = torch.empty(tokens, width + padding, dtype=FP8_DTYPE, device=x.device)
    scale = torch.empty(tokens, 1, dtype=torch.float32, device=x.device)
    norm_quantize_kernel[(tokens,)](
        source, weight, lora_a_out, rescale, quantized, scale, width, ranks, width + padding, eps,
        BLOCK=triton.next_power_of_2(width), RANKS=triton.next_power_of_2(ranks),
    )  # fmt: skip
    return (quantized, scale), lora_a_out


def rms_norm_backward(
    grad: Float[Tensor, "T D"],
    x: Float[Tensor, "T D"],
    weight: Float[Tensor, " D"],
    eps: float,
    residual: Float[Tensor, "T D"] | None,
    grad_lora_a_out: Float[Tensor, "T R"],
    extra_columns: int = 0,
) -> tuple[Float[Tensor, "T columns"], Float[Tensor, "T R"]]:
    """The gradient of x plus `residual` [T, D + extra_columns], and grad_lora_a_out / rms(x).

    The latter, times x, times weight is the gradient of LoRA A: grad_lora_a_out.T @ normed.
    """
    tokens, width = x.shape
    ranks = grad_lora_a_out.shape[1]
    dx, scaled = x.new_empty(tokens, width + extra_columns), torch.empty_like(grad_lora_a_out)
    addend = grad if residual is None else residual
    rms_norm_backward_kernel[(tokens,)](
        grad, x, weight, addend, grad_lora_a_out, dx, scaled, width, addend.stride(0), width + extra_columns,
        grad_lora_a_out.stride(0), scaled.stride(0), ranks, eps,
        ADD=residual is not None, BLOCK=triton.next_power_of_2(width), RANKS=triton.next_power_of_2(ranks),
    )  # fmt: skip
    return dx, scaled
