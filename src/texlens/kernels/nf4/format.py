"""The NF4 format of bitsandbytes: what a quantized weight consists of.

The values of a weight are 4-bit indices into 16 values, two a byte, the first in the high half, row after row; each
block of 64 has a scale. With double quantization the scales are bytes themselves: indices into 256 values, times a
scale for each 256, plus one offset. QLoRA: Dettmers et al. 2023, arXiv:2305.14314.

# E = experts, N = width out, D = width in, B = blocks
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

KIND = "nf4"


@dataclass(frozen=True)
class QuantizedScales:
    """Scales of double quantization: scale i is `values[byte i] * scales[i // group] + offset`."""

    values: Tensor
    scales: Tensor
    offset: Tensor
    group: int


@dataclass(frozen=True)
class Nf4Weight:
    """
    Args:
        shape: [N, D]; or [E, N, D] of stacked experts, none of which shares a block with another.
        dtype: what products with this weight are computed in.
        packed: bytes, two values each.
        scales: a float32 for each block of `block` values, or the bytes of `nested`.
        values: the 16 values, float32.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    packed: Tensor
    scales: Tensor
    values: Tensor
    block: int
    nested: QuantizedScales | None

    @property
    def device(self) -> torch.device:
        return self.packed.device

    @property
    def nbytes(self) -> int:
        nested = self.nested
        return self.packed.nbytes + self.scales.nbytes + (nested.scales.nbytes + nested.offset.nbytes if nested else 0)


def nf4_weight(parameter: Any, dtype: torch.dtype | None = None, state: Any = None) -> Nf4Weight:
    """
    Args:
        parameter: bitsandbytes' `Params4bit`, for which `nf4_unsupported_reason` gives None.
        dtype: of products; None is the dtype that was quantized.
        state: `quant_state` of a parameter that has none of its own, because it was gathered.
    """
    state = parameter.quant_state if state is None else state
    rows, columns = state.shape
    nested = None
    if state.nested:
        second = state.state2
        nested = QuantizedScales(second.code, second.absmax, state.offset, second.blocksize)
    packed = parameter.data.contiguous().view(torch.uint8).flatten()
    return Nf4Weight((rows, columns), dtype or state.dtype, packed, state.absmax, state.code, state.blocksize, nested)


def nf4_unsupported_reason(parameter: Any, state: Any = None) -> str | None:
    """Why a parameter can't be read as NF4, or None; `state` as in `nf4_weight`."""
    state = getattr(parameter, "quant_state", state)
    if state is None:
        return "a weight that is not quantized yet"
    if state.quant_type != KIND:
        return f"a weight in {state.quant_type}"
    if getattr(state, "packing_format_for_cpu", False):
        return "a weight repacked for inference on a CPU"
    if len(state.shape) != 2:
        return f"a weight of {len(state.shape)} dimensions"
    return None
