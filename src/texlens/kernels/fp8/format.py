"""Products in 8 bits: float8 e4m3 codes with a scale a row. FP8 formats: Micikevicius et al. 2022, arXiv:2209.05433.

A row is divided by its largest absolute number / 448, so that no code overflows, and rounded. Products are accumulated
in float32 and multiplied by both scales at the end.

The adapters' part stands beside the rest, as a rounded number and what rounding left, (hi + lo), on both sides:
[hi, hi, lo] of thin products times [hi, lo, hi] of the adapters' matrices is all but the product of both rests.

# T = rows, D = width, N = width out, R = columns beside
"""

import importlib
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

LARGEST = 448.0
CODE = torch.float8_e4m3fn


def room_for(ranks: int) -> int:
    """Columns that `ranks` columns take beside codes: three each, filled up to a multiple of 16 with zeros."""
    return -(-3 * ranks // 16) * 16


def quantize_rows(x: Tensor, beside: Tensor | None = None, gain: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Codes [T, D + room] and scales float32 [T, 1] of x [T, D] and of `beside` [T, R] times `gain` [1]."""
    if x.is_cuda:
        return _kernels().quantize_rows(x, beside, gain)
    return quantize_rows_plainly(x, beside, gain)


def quantize_rows_plainly(x: Tensor, beside: Tensor | None = None, gain: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """`quantize_rows` in PyTorch's operations, its twin."""
    row = x.float()
    if beside is None or gain is None:
        scale = _scale(row, LARGEST)
        return _code(row / scale), scale
    thin = beside.float() * gain
    scale = _scale(torch.cat([row, thin], -1), LARGEST)
    return torch.cat([_code(row / scale), _thin_codes(thin / scale)], -1), scale


def _kernels() -> Any:
    return importlib.import_module("texlens.kernels.fp8.triton")


def codes_with_rest(values: Tensor, scale: Tensor, out: Tensor) -> Tensor:
    """Writes values [N, R] by the scales [N] of their rows into `out` [N, room]: hi, lo, hi.

    Returns:
        [1], at least 1: what all values had to be divided by, so that no code overflows.
    """
    exact = values.float() / scale[:, None]
    gain = (exact.abs().amax() / LARGEST).clamp(min=1)[None]
    exact = exact / gain
    rounded = _code(exact)
    rest = _code(exact - rounded.float())
    out.view(torch.uint8)[:, : 3 * values.shape[1]] = _bytes(rounded, rest, rounded)
    return gain


def scaled_product(
    codes: Tensor, scale: Tensor, weight: Tensor, weight_scale: Tensor, bias: Tensor | None, dtype: torch.dtype
) -> Tensor:
    """(codes x scale) @ (weight x weight_scale).T + bias, [T, N] in `dtype`; codes [T, D], weight [N, D]."""
    if codes.is_cuda:
        return torch._scaled_mm(
            codes, weight.T, scale_a=scale, scale_b=weight_scale[None], bias=bias, out_dtype=dtype, use_fast_accum=True
        )
    y = (codes.float() @ weight.float().T) * scale * weight_scale
    return (y if bias is None else y + bias).to(dtype)


def why_not_fp8(device: torch.device) -> str | None:
    """What keeps 8-bit products from running on a device, or None."""
    if device.type != "cuda":
        return "8-bit products need a GPU"
    if torch.cuda.get_device_capability(device) < (8, 9):
        return f"{torch.cuda.get_device_name(device)} has no 8-bit products (compute capability below 8.9)"
    return None


def _scale(rows: Tensor, largest: float) -> Tensor:
    return (rows.abs().amax(-1, keepdim=True) / largest).clamp(min=torch.finfo(torch.float32).tiny)


def _thin_codes(thin: Tensor) -> Tensor:
    """[T, room] of thin [T, R], already divided by its scale."""
    rounded = _code(thin)
    parts = _bytes(rounded, rounded, _code(thin - rounded.float()))
    return functional.pad(parts, (0, room_for(thin.shape[1]) - parts.shape[1])).view(CODE)


def _bytes(*parts: Tensor) -> Tensor:
    return torch.cat([part.view(torch.uint8) for part in parts], 1)


def _code(numbers: Tensor) -> Tensor:
    return numbers.clamp(-LARGEST, LARGEST).to(CODE)
