"""Rows quantized to float8 by one Triton kernel, adapter matrices quantized next to a weight in two launches, and
stacked experts written out in one.

References: `quantize_rows_reference`, `quantize_with_residual` and `dequantize_experts_reference` of `fp8.reference`.

# T = rows, D = width in, N = width out, R = appended columns, E = experts, X = written ones
"""

import torch
import triton
from jaxtyping import Float
from torch import Tensor

from texlens.kernels.fp8.format import FP8_DTYPE, padded_columns
from texlens.kernels.fp8.triton_kernels import dequantize_experts_kernel, quantize_adapters_kernel, quantize_rows_kernel

_COLUMNS = 2048
_ADAPTER_ROWS = 64
_VALUES = 4096
"""Of a program that writes experts out."""


def quantize_rows(x: Tensor, appended: Tensor | None = None, rescale: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """`fp8.quantize.quantize_rows`; rows of x may be strided."""
    tokens, width = x.shape
    ranks = 0 if appended is None else appended.shape[1]
    padding = padded_columns(ranks)
    quantized = torch.empty(tokens, width + padding, dtype=FP8_DTYPE, device=x.device)
    scale = torch.empty(tokens, 1, dtype=torch.float32, device=x.device)
    block = min(_COLUMNS, triton.next_power_of_2(width))
    columns, row_scale = (x, scale) if appended is None or rescale is None else (appended, rescale)
    quantize_rows_kernel[(tokens,)](
        x, columns, row_scale, quantized, scale, width, ranks, x.stride(0), width + padding,
        CHUNKS=triton.cdiv(width, block), BLOCK=block, RANKS=triton.next_power_of_2(max(ranks, 1)),
        HAS_APPENDED=appended is not None,
        num_warps=2 if width <= 1.5 * _COLUMNS else 4,
    )  # fmt: skip
    return quantized, scale


def quantize_adapters(
    lora_b: Float[Tensor, "N R"],
    lora_b_scale: Float[Tensor, " N"],
    lora_b_columns: Tensor,
    lora_a: Float[Tensor, "R D"],
    lora_a_scale: Float[Tensor, " D"],
    lora_a_columns: Tensor,
) -> tuple[Tensor, Tensor]:
    """`quantize_with_residual` of LoRA B [N, R] and of LoRA A transposed [D, R], by the scales of the weight's rows.

    Returns:
        the two factors [1] that the values were divided by.
    """
    sizes = lora_b.shape[0], lora_a.shape[1]
    rows = max(8, min(_ADAPTER_ROWS, _ADAPTER_ROWS * 64 // triton.next_power_of_2(lora_b.shape[1])))
    programs = triton.cdiv(max(sizes), rows)
    max_abs = torch.empty(2, programs, dtype=torch.float32, device=lora_b.device)
    rescales = torch.empty(2, 4, dtype=torch.float32, device=lora_b.device)
    ranks = lora_b.shape[1]
    arguments = (
        lora_b, lora_b_scale, lora_b_columns, lora_a, lora_a_scale, lora_a_columns, max_abs, rescales, *sizes, ranks,
        lora_b.stride(0), lora_a.stride(0), lora_b_columns.stride(0), lora_a_columns.stride(0), programs,
    )  # fmt: skip
    constants = {
        "RANKS": triton.next_power_of_2(ranks),
        "BLOCK": rows,
        "PROGRAMS": triton.next_power_of_2(programs),
    }
    quantize_adapters_kernel[(programs, 2)](*arguments, WRITE=False, **constants)
    quantize_adapters_kernel[(programs, 2)](*arguments, WRITE=True, **constants)
    return rescales[0, :1], rescales[1, :1]


def dequantize_experts(codes: Tensor, scale: Tensor, out: Tensor, experts: Tensor | None = None) -> None:
    """`dequantize.dequantize_experts`."""
    count, height, width = codes.shape
    slots = count if experts is None else len(experts)
    if out.shape != (slots, height, width) or out.stride(2) != 1:
        raise ValueError(
            f"{slots} experts of {tuple(codes.shape)} can't be written into {tuple(out.shape)} with strides "
            f"{out.stride()}"
        )
    block = min(triton.next_power_of_2(width), 1024)
    rows = _VALUES // block
    dequantize_experts_kernel[(triton.cdiv(height, rows), triton.cdiv(width, block), slots)](
        codes, scale, scale if experts is None else experts, out, height, width, out.stride(0), out.stride(1),
        ROWS=rows, BLOCK=block, CHOSEN=experts is not None,
    )  # fmt: skip
