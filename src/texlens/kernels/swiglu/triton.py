"""SwiGLU forward and backward with the LoRA products around it, computed while a tile is in registers: launches.

Separate operations (`elementwise.triton`) write the activation and the gradient of gate and up to memory, where the
adapters read them again. Here gate, up and the gradient of the activation are read once: a program takes some columns
and a span of rows, keeps the adapters' gradients for these columns in registers, and leaves its part of the LoRA A
outputs of its rows. Small kernels sum the parts (`triton_reduce`), without atomics: equal runs give equal numbers.

In 8 bits the largest values of the rows are found on the way, and a second kernel recomputes the values and quantizes
them, so that the activation and the gradient of gate and up are never in memory in 16 bits.

# T = tokens, F = width of the MLP, R = ranks of adapters side by side, P = pieces whose partial sums are added
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import triton
from torch import Tensor

from texlens.kernels.adapter import Adapter
from texlens.kernels.dropout.mask import LoraDropout
from texlens.kernels.fp8.format import FP8_DTYPE, padded_columns
from texlens.kernels.swiglu.triton_kernels import (
    backward_kernel,
    forward_kernel,
    quantize_swiglu_grad_kernel,
    quantize_swiglu_kernel,
)
from texlens.kernels.swiglu.triton_reduce import RankLayout, padded_rank, reduce_chunks, reduce_partial_sums


class SwigluTile(NamedTuple):
    """Tile and launch options of a fused pass.

    Args:
        rows, columns: of a tile, powers of two of at least 16.
        span: rows (backward) or columns (forward) that a program takes, tile by tile.
        tile_left: products have the tile as their left operand, else the LoRA side.
        partial_sums: the LoRA A outputs of the gradient of gate and up as partial sums, else as one more product over
            this gradient; in 8 bits always as partial sums.
        registers: at most so many a thread; fewer let more programs run at the same time.
    """

    rows: int
    columns: int
    span: int
    warps: int
    stages: int
    tile_left: bool = False
    partial_sums: bool = True
    registers: int | None = None

    def launch(self) -> dict[str, int]:
        limits = {} if self.registers is None else {"maxnreg": self.registers}
        return {"num_warps": self.warps, "num_stages": self.stages, **limits}


_TILES = {
    ("forward", "augmented"): SwigluTile(16, 256, 2560, 4, 3),
    ("forward", "quantized"): SwigluTile(32, 128, 2560, 4, 3),
    ("backward", "augmented"): SwigluTile(32, 128, 1024, 8, 3, True, False),
    ("backward", "quantized"): SwigluTile(32, 64, 1024, 2, 3, True),
}


def choose_tile(direction: str, form: str, dtype: torch.dtype) -> SwigluTile:
    """Tile of a kernel; `direction` is forward or backward, `form` augmented or quantized."""
    return SwigluTile(16, 32, 64, 4, 1) if dtype == torch.float32 else _TILES[direction, form]


def swiglu_augmented(
    gate_up: Tensor, lora_a: Tensor, tile: SwigluTile | None = None, *, dropout: LoraDropout | None = None
) -> tuple[Tensor, Tensor]:
    """act = swiglu(gate_up) with act @ lora_a.T as extra columns, [T, F + R], and the latter alone, [T, R].

    Args:
        dropout: of act for LoRA A alone.
    """
    tokens, width = gate_up.shape[0], gate_up.shape[1] // 2
    act = gate_up.new_empty(tokens, width + len(lora_a))
    tile = tile or choose_tile("forward", "augmented", gate_up.dtype)
    partial_sums, _ = _launch_forward(gate_up, lora_a, act, tile, dropout)
    return act, reduce_partial_sums(partial_sums, len(lora_a), gate_up.dtype, extra_columns=act)


def swiglu_quantized(
    gate_up: Tensor, lora_a: Tensor, rescale: Tensor, tile: SwigluTile | None = None
) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """act = swiglu(gate_up) in float8 with act @ lora_a.T times `rescale` appended, and the latter, [T, R]."""
    tokens, width = gate_up.shape[0], gate_up.shape[1] // 2
    partial_sums, max_bits = _launch_forward(
        gate_up, lora_a, None, tile or choose_tile("forward", "quantized", gate_up.dtype)
    )
    quantized, scale = _empty_quantized(gate_up, width, len(lora_a))
    lora_a_out = reduce_partial_sums(
        partial_sums, len(lora_a), gate_up.dtype, quantized=(quantized, scale, max_bits, rescale)
    )
    quantize_swiglu_kernel[(tokens, triton.cdiv(width, _COLUMNS))](
        gate_up, scale, quantized, width, quantized.stride(0), BLOCK=_COLUMNS
    )
    return (quantized, scale), lora_a_out


def swiglu_backward_augmented(
    grad: Tensor,
    gate_up: Tensor,
    lora_a_out: Tensor,
    grad_down_lora_a_out: Tensor | None,
    lora_b: Tensor,
    adapters: Sequence[Adapter],
    tile: SwigluTile | None = None,
    *,
    dropout: LoraDropout | None = None,
) -> tuple[Tensor, Tensor, tuple[Tensor, ...], Tensor | None]:
    """From the gradient of swiglu(gate_up), [T, F], with all that the adapters on both sides need of it.

    Args:
        lora_a_out: [T, R], of the gate/up product in the forward pass; `lora_b` [2F, R] and `adapters` are of it.
        grad_down_lora_a_out: [T, R'], gradient of the LoRA A output of the down projection, if that is adapted.
        dropout: of the input of the down projection.

    Returns:
        the gradient of gate and up [T, 2F + R] with that gradient @ lora_b in its extra columns; the latter alone
        [T, R]; in float32 the gradients of each adapter's LoRA B and of the LoRA A of the down projection [R', F].
    """
    tile = tile or choose_tile("backward", "augmented", gate_up.dtype)
    tokens, height = gate_up.shape
    dgate_up = gate_up.new_empty(tokens, height + lora_b.shape[1])
    lora_grads, partial_sums, _ = _launch_backward(
        grad, gate_up, lora_a_out, grad_down_lora_a_out, lora_b, adapters, dgate_up, tile, dropout
    )
    if tile.partial_sums:
        grad_lora_a_out = reduce_partial_sums(
            partial_sums, adapters[-1].columns.stop, gate_up.dtype, extra_columns=dgate_up
        )
    else:
        grad_lora_a_out = torch.mm(dgate_up[:, :height], lora_b)
        dgate_up[:, height:] = grad_lora_a_out
    return dgate_up, grad_lora_a_out, *lora_grads


def swiglu_backward_quantized(
    grad: Tensor,
    gate_up: Tensor,
    lora_a_out: Tensor,
    grad_down_lora_a_out: Tensor | None,
    lora_b: Tensor,
    adapters: Sequence[Adapter],
    rescale: Tensor,
    tile: SwigluTile | None = None,
) -> tuple[tuple[Tensor, Tensor], Tensor, tuple[Tensor, ...], Tensor | None]:
    """`swiglu_backward_augmented` with rows in float8, the gradient of the LoRA A output times `rescale` appended."""
    tile = tile or choose_tile("backward", "quantized", gate_up.dtype)
    tokens, height = gate_up.shape
    lora_grads, partial_sums, max_bits = _launch_backward(
        grad, gate_up, lora_a_out, grad_down_lora_a_out, lora_b, adapters, None, tile._replace(partial_sums=True)
    )
    quantized, scale = _empty_quantized(gate_up, height, lora_b.shape[1])
    outputs = quantized, scale, max_bits, rescale
    grad_lora_a_out = reduce_partial_sums(partial_sums, adapters[-1].columns.stop, gate_up.dtype, quantized=outputs)
    quantize_swiglu_grad_kernel[(tokens, triton.cdiv(height // 2, _COLUMNS))](
        grad, gate_up, scale, quantized, height // 2, quantized.stride(0), BLOCK=_COLUMNS
    )
    return (quantized, scale), grad_lora_a_out, *lora_grads


_COLUMNS = 2048


def _empty_quantized(x: Tensor, width: int, ranks: int) -> tuple[Tensor, Tensor]:
    quantized = torch.empty(len(x), width + padded_columns(ranks), dtype=FP8_DTYPE, device=x.device)
    return quantized, torch.empty(len(x), 1, dtype=torch.float32, device=x.device)


def _launch_forward(
    gate_up: Tensor, lora_a: Tensor, act: Tensor | None, tile: SwigluTile, dropout: LoraDropout | None = None
) -> tuple[Tensor, Tensor | None]:
    """Partial sums [P, T, R] of act @ lora_a.T, and, without `act` to write to, the largest values of its rows."""
    tokens, width, ranks = len(gate_up), gate_up.shape[1] // 2, len(lora_a)
    span = min(-(-tile.span // tile.columns), -(-width // tile.columns)) * tile.columns
    pieces = triton.cdiv(width, span)
    partial_sums = gate_up.new_empty(pieces, tokens, ranks, dtype=torch.float32)
    max_bits = gate_up.new_empty(pieces, tokens, dtype=torch.int32) if act is None else None
    forward_kernel[(pieces, triton.cdiv(tokens, tile.rows))](
        gate_up, lora_a, gate_up if act is None else act, partial_sums, partial_sums if max_bits is None else max_bits,
        tokens, *_dropped(dropout, partial_sums),
        WIDTH=width, STRIDE=0 if act is None else act.stride(0), LORA_A_STRIDE=lora_a.stride(0),
        RANKS=ranks, PADDED=padded_rank(ranks), STORE=act is not None,
        ROWS=tile.rows, COLUMNS=tile.columns, SPAN=span, TILE_LEFT=tile.tile_left, **tile.launch(),
    )  # fmt: skip
    return partial_sums, max_bits


def _launch_backward(
    grad,
    gate_up,
    lora_a_out,
    grad_down_lora_a_out,
    lora_b,
    adapters,
    dgate_up: Tensor | None,
    tile: SwigluTile,
    dropout: LoraDropout | None = None,
):
    """LoRA gradients, partial sums [P, T, R] of the gradient of the LoRA A output, and largest values of rows."""
    tokens, width, ranks = len(gate_up), gate_up.shape[1] // 2, lora_b.shape[1]
    layout = RankLayout.of(adapters, width, 0 if grad_down_lora_a_out is None else grad_down_lora_a_out.shape[1])
    blocks, chunks = triton.cdiv(width, tile.columns), triton.cdiv(tokens, tile.span)
    sums = gate_up.new_empty(chunks, layout.ranks, width, dtype=torch.float32)
    partial_sums = gate_up.new_empty(blocks, tokens, ranks, dtype=torch.float32) if tile.partial_sums else sums
    max_bits = gate_up.new_empty(blocks, tokens, dtype=torch.int32) if dgate_up is None else None
    down = lora_a_out if grad_down_lora_a_out is None else grad_down_lora_a_out
    backward_kernel[(blocks, chunks)](
        grad.contiguous(), gate_up, lora_a_out, down, lora_b, gate_up if dgate_up is None else dgate_up, sums,
        partial_sums, sums if max_bits is None else max_bits, tokens, *_dropped(dropout, sums),
        WIDTH=width, STRIDE=0 if dgate_up is None else dgate_up.stride(0), LORA_A_OUT_STRIDE=lora_a_out.stride(0),
        DOWN_STRIDE=down.stride(0), LORA_B_STRIDE=lora_b.stride(0), RANKS=ranks,
        **layout.sizes(), GATE_COLUMN=layout.gate_column, UP_COLUMN=layout.up_column,
        STORE=dgate_up is not None, PARTIAL_SUMS=tile.partial_sums, ROWS=tile.rows, COLUMNS=tile.columns,
        SPAN=tile.span, TILE_LEFT=tile.tile_left, **tile.launch(),
    )  # fmt: skip
    return reduce_chunks(sums, layout, adapters), partial_sums, max_bits


def _dropped(dropout: LoraDropout | None, unused: Tensor) -> tuple[Tensor, int, int, float]:
    """Seed, product, threshold and scale; a threshold of 0 drops nothing."""
    if dropout is None:
        return unused, 0, 0, 1.0
    assert dropout.seed.value is not None
    return dropout.seed.value, dropout.product, dropout.threshold, dropout.scale
