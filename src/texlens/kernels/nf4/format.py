"""bitsandbytes' NF4 weights, written out as plain numbers into a place that is given.

A weight's numbers lie as 4-bit indices into 16 values, two a byte, first in the high half, row after row; each block of
64 has a scale. With double quantization the scales are bytes themselves: indices into 256 values, times a scale of
their own for each 256, plus one offset. QLoRA: Dettmers et al. 2023, arXiv:2305.14314.

# N = width out, D = width in, B = blocks
"""

import functools
import importlib.util
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

KIND = "nf4"


@dataclass(frozen=True)
class QuantizedScales:
    """Scales of double quantization: `values[number] * scales[number's place // group] + offset`."""

    values: Tensor
    scales: Tensor
    offset: Tensor
    group: int


@dataclass(frozen=True)
class Nf4Weight:
    """
    Args:
        shape: [N, D].
        dtype: what products with this weight are computed in.
        packed: bytes, two numbers each.
        scales: a float32 a block of `block` numbers, or the bytes of `nested`.
        values: the 16 values, float32.
    """

    shape: tuple[int, int]
    dtype: torch.dtype
    packed: Tensor
    scales: Tensor
    values: Tensor
    block: int
    nested: QuantizedScales | None

    def write(self, out: Tensor) -> None:
        """Puts the numbers into `out` [N, D], whose rows may lie apart; rounded once, to its dtype."""
        kernels = _kernels() if out.is_cuda else None
        if kernels is None:
            write_plainly(self, out)
        else:
            kernels.write(self, out)

    @property
    def device(self) -> torch.device:
        return self.packed.device

    @property
    def nbytes(self) -> int:
        nested = self.nested
        return self.packed.nbytes + self.scales.nbytes + (nested.scales.nbytes + nested.offset.nbytes if nested else 0)


def nf4_weight(parameter: Any, dtype: torch.dtype | None = None) -> Nf4Weight:
    """
    Args:
        parameter: bitsandbytes' `Params4bit`, for which `why_not_nf4` gives None.
        dtype: of products; None is what was quantized.
    """
    state = parameter.quant_state
    high, wide = state.shape
    nested = None
    if state.nested:
        second = state.state2
        nested = QuantizedScales(second.code, second.absmax, state.offset, second.blocksize)
    packed = parameter.data.contiguous().view(torch.uint8).flatten()
    return Nf4Weight((high, wide), dtype or state.dtype, packed, state.absmax, state.code, state.blocksize, nested)


def why_not_nf4(parameter: Any) -> str | None:
    """What keeps a parameter from being read as NF4, or None."""
    state = getattr(parameter, "quant_state", None)
    if state is None:
        return "a weight that is not quantized yet"
    if state.quant_type != KIND:
        return f"a weight in {state.quant_type}"
    if getattr(state, "packing_format_for_cpu", False):
        return "a weight packed anew for inference on a CPU"
    if len(state.shape) != 2:
        return f"a weight of {len(state.shape)} dimensions"
    return None


def write_plainly(weight: Nf4Weight, out: Tensor) -> None:
    """`Nf4Weight.write` in PyTorch's own operations, for comparison and where there is no Triton."""
    high, wide = weight.shape
    count = high * wide
    numbers = torch.stack([weight.packed >> 4, weight.packed & 15], 1).flatten()[:count]
    scales = block_scales(weight).repeat_interleave(weight.block)[:count]
    out.copy_((weight.values[numbers.int()] * scales).view(high, wide))


def block_scales(weight: Nf4Weight) -> Tensor:
    """A float32 a block, [B]."""
    nested = weight.nested
    if nested is None:
        return weight.scales
    coarse = nested.scales.repeat_interleave(nested.group)[: len(weight.scales)]
    return nested.values[weight.scales.int()] * coarse + nested.offset


@functools.cache
def _kernels() -> ModuleType | None:
    if importlib.util.find_spec("triton") is None:
        return None
    return importlib.import_module("texlens.kernels.nf4.triton")
