"""Products in 8 bits: float8 e4m3 codes with a scale a row. FP8 formats: Micikevicius et al. 2022, arXiv:2209.05433.

A row is divided by its largest absolute number / 448, so that no code overflows, and rounded. Products are accumulated
in float32 and multiplied by both scales at the end.

# T = rows, D = width, N = width out, R = columns beside
"""

import torch
from torch import Tensor

LARGEST = 448.0
CODE = torch.float8_e4m3fn


def quantise_rows(x: Tensor, beside: Tensor | None = None, gain: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Codes [T, D + 2R] and scales float32 [T, 1] of x [T, D] and, twice, of `beside` [T, R] times `gain` [1]."""
    if x.is_cuda:
        from texlens.kernels import triton_fp8

        return triton_fp8.quantise_rows(x, beside, gain)
    return quantise_rows_plainly(x, beside, gain)


def quantise_rows_plainly(x: Tensor, beside: Tensor | None = None, gain: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """`quantise_rows` in PyTorch's operations, its twin."""
    row = x.float()
    if beside is not None and gain is not None:
        row = torch.cat([row, beside.float() * gain, beside.float() * gain], -1)
    scale = (row.abs().amax(-1, keepdim=True) / LARGEST).clamp(min=torch.finfo(torch.float32).tiny)
    return _code(row / scale), scale


def codes_with_rest(values: Tensor, scale: Tensor, out: Tensor) -> Tensor:
    """Writes values [N, R] by the scales [N] of their rows into `out` [N, 2R]: the codes, then those of what rounding
    left.

    Returns:
        [1], at least 1: what all values had to be divided by, so that no code overflows.
    """
    exact = values.float() / scale[:, None]
    gain = (exact.abs().amax() / LARGEST).clamp(min=1)[None]
    exact = exact / gain
    rounded = _code(exact)
    rest = _code(exact - rounded.float())
    out.view(torch.uint8)[:] = torch.cat([rounded, rest], 1).view(torch.uint8)
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


def _code(numbers: Tensor) -> Tensor:
    return numbers.clamp(-LARGEST, LARGEST).to(CODE)
