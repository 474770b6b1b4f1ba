"""Products in 8 bits: float8 e4m3 codes with a scale a row. FP8 formats: Micikevicius et al. 2022, arXiv:2209.05433.

A row is divided by its largest absolute number / 448, so that no code overflows, and rounded. Products are accumulated
in float32 and multiplied by both scales at the end.

The adapters' part stands beside the rest, as a rounded number and what rounding left, (hi + lo), on both sides:
[hi, hi, lo] of thin products times [hi, lo, hi] of the adapters' matrices is all but the product of both rests.

# T = rows, D = width, N = width out, R = columns beside
"""

import importlib
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

LARGEST = 448.0
CODE = torch.float8_e4m3fn
HEADROOM = 16.0
"""Rows that are coded before their thin product is known use 1/16 of the codes' range, since the thin product's codes
have to fit beside them. Codes being floating point, only numbers below 1/1,800 of a row's largest lose precision."""


class Coded8(NamedTuple):
    """Rows [T, N] as codes [T, N + room] and scales float32 [T, 1]."""

    codes: Tensor
    scale: Tensor
    width: int

    def numbers(self, dtype: torch.dtype) -> Tensor:
        return (self.codes[:, : self.width].float() * self.scale).to(dtype)


def room_for(ranks: int) -> int:
    """Columns that `ranks` columns take beside codes: three each, filled up to a multiple of 16 with zeros."""
    return -(-3 * ranks // 16) * 16


def quantise_rows(x: Tensor, beside: Tensor | None = None, gain: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Codes [T, D + room] and scales float32 [T, 1] of x [T, D] and of `beside` [T, R] times `gain` [1]."""
    if x.is_cuda:
        return _kernels().quantise_rows(x, beside, gain)
    return quantise_rows_plainly(x, beside, gain)


def quantise_rows_plainly(x: Tensor, beside: Tensor | None = None, gain: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """`quantise_rows` in PyTorch's operations, its twin."""
    row = x.float()
    if beside is None or gain is None:
        scale = _scale(row, LARGEST)
        return _code(row / scale), scale
    thin = beside.float() * gain
    scale = _scale(torch.cat([row, thin], -1), LARGEST)
    return torch.cat([_code(row / scale), _thin_codes(thin / scale)], -1), scale


def swiglu_codes(wide: Tensor, room: int) -> Coded8:
    """silu(gate) x up of `wide` [T, 2F], coded with headroom; the room's codes are zero."""
    if wide.is_cuda:
        return _kernels().swiglu_codes(wide, room)
    gate, up = wide.chunk(2, -1)
    return _with_headroom(functional.silu(gate) * up, room)


def swiglu_back_codes(slope: Tensor, wide: Tensor, room: int) -> tuple[Coded8, Coded8]:
    """The slope of `wide`, coded with headroom and `room`, and what `swiglu_codes` gave, without room."""
    if wide.is_cuda:
        return _kernels().swiglu_back_codes(slope, wide, room)
    gate, up = (half.float() for half in wide.chunk(2, -1))
    switch, along = torch.sigmoid(gate), slope.float()
    dgate = along * up * switch * (1 + gate * (1 - switch))
    dwide = torch.cat([dgate, along * gate * switch], -1)
    return _with_headroom(dwide, room), _with_headroom(gate * switch * up, 0)


def thin_of_codes(rows: Coded8, right: Tensor, gain: Tensor) -> Tensor:
    """rows @ right [T, R] of right [N, R]; its codes, times `gain`, go into the room behind the rows' codes."""
    if rows.codes.is_cuda:
        return _kernels().thin_of_codes(rows, right, gain)
    thin = (rows.numbers(torch.float32) @ right.float()).to(right.dtype)
    coded = _thin_codes(thin.float() * gain / rows.scale)
    rows.codes.view(torch.uint8)[:, rows.width :] = coded.view(torch.uint8)
    return thin


def codes_over_tokens(rows: Coded8, right: Tensor) -> Tensor:
    """rows.T @ right, float32 [N, R], of right [T, R]."""
    if rows.codes.is_cuda:
        return _kernels().codes_over_tokens(rows, right)
    return rows.numbers(torch.float32).T @ right.float()


def _with_headroom(x: Tensor, room: int) -> Coded8:
    scale = _scale(x.float(), LARGEST / HEADROOM)
    codes = torch.zeros(len(x), x.shape[1] + room, dtype=torch.uint8, device=x.device)
    codes[:, : x.shape[1]] = _code(x.float() / scale).view(torch.uint8)
    return Coded8(codes.view(CODE), scale, x.shape[1])


def _kernels() -> Any:
    return importlib.import_module("texlens.kernels.triton_fp8")


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
