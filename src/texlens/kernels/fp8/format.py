"""The float8 e4m3 format of matrix products: constants and layout.

A row is divided by its largest absolute value / 448, so that nothing overflows, and rounded. Products are accumulated
in float32 and multiplied by both scales at the end. FP8 formats: Micikevicius et al. 2022, arXiv:2209.05433.

LoRA columns are appended to quantized rows as a rounded value and its rounding residual, (high + low), on both sides:
[high, high, low] of LoRA A outputs times [high, low, high] of LoRA B gives the product up to low x low.
"""

import torch

FP8_MAX = 448.0
FP8_DTYPE = torch.float8_e4m3fn


def padded_columns(ranks: int) -> int:
    """Columns that `ranks` columns take next to quantized ones: three each, padded with zeros to a multiple of 16."""
    return -(-3 * ranks // 16) * 16


def fp8_unsupported_reason(device: torch.device) -> str | None:
    """Why 8-bit products can't run on a device, or None."""
    if device.type != "cuda":
        return "8-bit products need a GPU"
    if torch.cuda.get_device_capability(device) < (8, 9):
        return f"{torch.cuda.get_device_name(device)} has no 8-bit products (compute capability below 8.9)"
    return None
