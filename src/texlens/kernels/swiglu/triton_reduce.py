"""Sums of the partial results that the programs of a fused SwiGLU pass leave: small kernels without atomics.

# T = tokens, F = width of the MLP, R = ranks of adapters side by side, P = pieces
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import triton
from torch import Tensor

from texlens.kernels.adapter import Adapter
from texlens.kernels.fp8.format import padded_columns
from texlens.kernels.swiglu.triton_partial_sums import reduce_chunks_kernel, reduce_partial_sums_kernel


class RankLayout(NamedTuple):
    """Ranks of the adapters of down, gate and up; columns at which gate's and up's begin."""

    down_ranks: int
    gate_ranks: int
    up_ranks: int
    gate_column: int
    up_column: int

    @classmethod
    def of(cls, adapters: Sequence[Adapter], width: int, down_ranks: int) -> "RankLayout":
        """From the adapters of gate and up, each of them [width, D] or absent."""
        by_row = {adapter.rows.start: (len(adapter.lora_a), adapter.columns.start) for adapter in adapters}
        gate_ranks, up_ranks = by_row.get(0, (0, 0)), by_row.get(width, (0, 0))
        return cls(down_ranks, gate_ranks[0], up_ranks[0], gate_ranks[1], up_ranks[1])

    @property
    def ranks(self) -> int:
        return self.down_ranks + self.gate_ranks + self.up_ranks

    def sizes(self) -> dict[str, int]:
        """Constants of the kernels."""
        sizes = {"DOWN": self.down_ranks, "GATE": self.gate_ranks, "UP": self.up_ranks}
        return sizes | {f"{name}_PADDED": padded_rank(size) for name, size in sizes.items()}


def padded_rank(ranks: int) -> int:
    return max(16, triton.next_power_of_2(ranks))


def reduce_chunks(
    sums: Tensor, layout: RankLayout, adapters: Sequence[Adapter]
) -> tuple[tuple[Tensor, ...], Tensor | None]:
    """Sums over all chunks of [P, DOWN + GATE + UP, F]: the gradients of LoRA B, and of down's LoRA A."""
    chunks, _, width = sums.shape
    shapes = (layout.down_ranks, width), (width, layout.gate_ranks), (width, layout.up_ranks)
    grads = [sums.new_empty(shape) for shape in shapes]
    scalings = {adapter.rows.start: float(adapter.scaling) for adapter in adapters}
    reduce_chunks_kernel[(triton.cdiv(width, 64), 3)](
        sums, *grads, chunks, scalings.get(0, 1.0), scalings.get(width, 1.0), WIDTH=width, **layout.sizes(), BLOCK=64,
    )  # fmt: skip
    lora_b_grads = tuple(grad for grad in grads[1:] if grad.numel())
    return lora_b_grads, grads[0] if layout.down_ranks else None


def reduce_partial_sums(
    partial_sums: Tensor, used: int, dtype: torch.dtype, extra_columns: Tensor | None = None, quantized=None
) -> Tensor:
    """The sum of partial sums [P, T, R] in `dtype`, written into the last columns of `extra_columns` or appended in
    float8.

    Args:
        used: columns that were written; the others become 0.
        quantized: rows in float8, scales (both written here), the rows' largest values as bits [P, T], rescale.
    """
    pieces, tokens, ranks = partial_sums.shape
    lora_a_out = torch.empty(tokens, ranks, dtype=dtype, device=partial_sums.device)
    unused = (partial_sums,) * 3
    out, scale, max_bits, rescale = quantized or (lora_a_out if extra_columns is None else extra_columns, *unused)
    appended = padded_columns(ranks) if quantized else ranks
    reduce_partial_sums_kernel[(triton.cdiv(tokens, 16),)](
        partial_sums, lora_a_out, out, scale, max_bits, rescale, pieces, tokens,
        RANKS=ranks, USED=used, PADDED=padded_rank(ranks), STRIDE=out.stride(0), START=out.shape[1] - appended,
        FP8_COLUMNS=padded_columns(ranks), EXTRA_COLUMNS=extra_columns is not None, QUANTIZED=quantized is not None,
    )  # fmt: skip
    return lora_a_out
