"""The base's weights of linear layers with one input, in the form that a model has them, and the adapters' A matrices.

# T = rows, D = width in, N = width out of all layers, R = ranks of all adapters side by side

To add a form, write a class with the Protocol `Weight` and choose it in `weight_of`.
"""

from collections.abc import Sequence
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from texlens.kernels.cpu_linear.linear import CpuLinear, product_dtype
from texlens.kernels.fp8.quantize import quantize_rows, scaled_product
from texlens.kernels.nf4.dequantize import dequantize
from texlens.kernels.nf4.format import nf4_unsupported_reason, nf4_weight
from texlens.models.fp8 import Fp8Linear

INT8_STEPS = 127.0
"""bitsandbytes' scale of a row is its largest magnitude, which has the code 127."""

_MOVED: WeakKeyDictionary[nn.Module, Tensor] = WeakKeyDictionary()
"""Of the first of stacked layers, the tensor that an engine has moved the layers' weights into. One engine at a time
may use a model: a second one with other adapters writes its A matrices into the same rows."""


class Weight(Protocol):
    """A base's weight."""

    def products(self, x_TD: Tensor) -> tuple[Tensor, Tensor]:
        """x times the base [T, N], which the caller may overwrite, and times the A matrices [T, R]."""
        ...

    def write_a(self, a_RD: Tensor) -> None:
        """Replaces the A matrices."""
        ...


class Scratch:
    """One buffer that the weights of every layer are written into just before their product.

    All weights must `reserve` before the first is used: a CUDA graph keeps the buffer's address.

    Args:
        dtype: of the model's embedding, in which weights in int8 are written out.
        packs: see `DecodingEngine`.
    """

    def __init__(self, dtype: torch.dtype, *, packs: bool = False) -> None:
        self.dtype, self.packs, self._count = dtype, packs, 0
        self._buffer: Tensor | None = None

    def reserve(self, count: int) -> None:
        self._count = max(self._count, count)

    def matrix(self, rows: int, columns: int, like: Tensor) -> Tensor:
        """[rows, columns] in the dtype and on the device of `like`, with any values."""
        buffer = self._buffer
        if buffer is None or len(buffer) < self._count or buffer.dtype != like.dtype:
            buffer = self._buffer = torch.empty(self._count, dtype=like.dtype, device=like.device)
        return buffer[: rows * columns].view(rows, columns)


class DenseWeight:
    """Weights of 16 or 32 bits; `[W; A]` as one tensor where the layers may move, else A alone."""

    def __init__(self, bases: Sequence[Any], ranks: int):
        self.height = sum(base.out_features for base in bases)
        weights = [base.weight for base in bases]
        joined = joined_view(weights)
        before = _MOVED.get(bases[0])
        is_ours = before is not None and before.data_ptr() == weights[0].data_ptr()
        may_move = is_ours or all(owns_its_storage(weight) for weight in weights)
        if before is not None and is_ours and len(before) >= self.height + ranks:
            self._all, self._a_RD = before[: self.height + ranks], None
        elif may_move and (ranks or joined is None):
            self._all, self._a_RD = _moved(weights, ranks), None
            _MOVED[bases[0]] = self._all
        else:
            self._parts = weights if joined is None else [joined]
            self._all = joined if len(self._parts) == 1 else None
            self._a_RD = weights[0].new_zeros(ranks, weights[0].shape[1])

    def products(self, x_TD: Tensor) -> tuple[Tensor, Tensor]:
        if self._a_RD is None and self._all is not None:
            both = x_TD @ self._all.T
            return both[:, : self.height], both[:, self.height :]
        parts = [self._all] if self._all is not None else [part.detach() for part in self._parts]
        columns = [x_TD @ part.T for part in parts]
        assert self._a_RD is not None
        return columns[0] if len(columns) == 1 else torch.cat(columns, -1), _a_products(x_TD, self._a_RD)

    def write_a(self, a_RD: Tensor) -> None:
        if self._a_RD is not None:
            self._a_RD.copy_(a_RD)
        elif self._all is not None:
            self._all[self.height :] = a_RD


class CpuWeight:
    """Weights in float32 on a CPU, copied into the layout that multiplies fastest together with the A matrices."""

    def __init__(self, bases: Sequence[Any], ranks: int):
        self.height = sum(base.out_features for base in bases)
        self._bases = list(bases)
        self.write_a(bases[0].weight.new_zeros(ranks, bases[0].in_features))

    def products(self, x_TD: Tensor) -> tuple[Tensor, Tensor]:
        both = self._both(x_TD).float()
        return both[:, : self.height], both[:, self.height :]

    def write_a(self, a_RD: Tensor) -> None:
        weights = [base.weight.detach() for base in self._bases]
        self._both = CpuLinear(torch.cat([*weights, a_RD]), None, dtype=product_dtype())


class Fp8Weight:
    """Weights in float8, stacked: rows of x are quantized once, for one product; A stays in 16 bits."""

    def __init__(self, bases: Sequence[Fp8Linear], ranks: int):
        self._dtype = bases[0].compute_dtype
        self._codes_ND, self._scale_N = _stacked_codes(bases)
        self._a_RD = torch.zeros(ranks, bases[0].in_features, dtype=self._dtype, device=self._codes_ND.device)

    def products(self, x_TD: Tensor) -> tuple[Tensor, Tensor]:
        codes_TD, scale_T1 = quantize_rows(x_TD)
        columns = scaled_product(codes_TD, scale_T1, self._codes_ND, self._scale_N, None, self._dtype)
        return columns, _a_products(x_TD, self._a_RD)

    def write_a(self, a_RD: Tensor) -> None:
        self._a_RD.copy_(a_RD)


class PackedWeight:
    """Weights that bitsandbytes holds in 4 or 8 bits: written out in `scratch` before each product; A is in 16 bits."""

    def __init__(self, bases: Sequence[Any], ranks: int, scratch: Scratch):
        self._bases, self._scratch = list(bases), scratch
        self._heights = [base.out_features for base in bases]
        self._width = bases[0].in_features
        device = bases[0].weight.device
        self._a_RD = torch.zeros(ranks, self._width, dtype=compute_dtype(bases[0], scratch.dtype), device=device)
        scratch.reserve(sum(self._heights) * self._width)

    def products(self, x_TD: Tensor) -> tuple[Tensor, Tensor]:
        x_TD = x_TD.to(self._a_RD.dtype)
        weight_ND = self._scratch.matrix(sum(self._heights), self._width, self._a_RD)
        for base, part_ND in zip(self._bases, weight_ND.split(self._heights), strict=True):
            write_out(base, part_ND)
        return x_TD @ weight_ND.T, _a_products(x_TD, self._a_RD)

    def write_a(self, a_RD: Tensor) -> None:
        self._a_RD.copy_(a_RD)


def weight_of(bases: Sequence[Any], ranks: int, scratch: Scratch) -> Weight:
    """The layers' weights in the form that they have."""
    if all(isinstance(base, Fp8Linear) for base in bases):
        return Fp8Weight(bases, ranks)
    if all(type(base) is nn.Linear for base in bases):
        if scratch.packs and all(_is_float32_on_cpu(base.weight) for base in bases):
            return CpuWeight(bases, ranks)
        return DenseWeight(bases, ranks)
    return PackedWeight(bases, ranks, scratch)


def _is_float32_on_cpu(weight: Tensor) -> bool:
    return weight.device.type == "cpu" and weight.dtype == torch.float32


def write_out(base: Any, out_ND: Tensor) -> None:
    """Writes a layer's weight, of 4, 8, 16 or 32 bits, into `out_ND`, rounded once to its dtype."""
    if is_int8(base):
        codes_ND, scale_N = int8_parts(base)
        torch.mul(codes_ND, (scale_N.float() / INT8_STEPS)[:, None], out=out_ND)
    elif base.weight.is_floating_point():
        out_ND.copy_(base.weight)
    else:
        dequantize(nf4_weight(base.weight, out_ND.dtype), out_ND)


def is_int8(base: Any) -> bool:
    """Whether the layer is bitsandbytes' `Linear8bitLt`."""
    return type(base).__name__ == "Linear8bitLt"


def int8_parts(base: Any) -> tuple[Tensor, Tensor]:
    """Codes [N, D] and the largest magnitude of each row [N]; a first forward pass moves them into `state`."""
    holder = base.weight if base.weight.CB is not None else base.state
    return holder.CB, holder.SCB


def unsupported_weight(base: Any) -> str | None:
    """What keeps a layer's weight from the engine, or None."""
    if is_int8(base):
        return None if int8_parts(base)[0] is not None else "a base in int8 that is not quantized yet"
    if type(base).__name__ == "Linear4bit":
        return nf4_unsupported_reason(base.weight)
    return None if isinstance(base, nn.Linear) else f"a {type(base).__name__} layer"


def compute_dtype(base: Any, model_dtype: torch.dtype) -> torch.dtype:
    """The type of a base layer's results; that of the model where the layer has none of its own."""
    if isinstance(base, Fp8Linear):
        return base.compute_dtype
    if base.weight.is_floating_point():
        return base.weight.dtype
    return getattr(base, "compute_dtype", None) or model_dtype


def owns_its_storage(weight: Tensor) -> bool:
    """Whether the weight is all of its storage, and no view of a larger tensor that somebody else laid out."""
    return weight.untyped_storage().nbytes() == weight.numel() * weight.element_size()


def joined_view(weights: Sequence[Tensor]) -> Tensor | None:
    """One view of weights that are below each other in one storage already, or None."""
    first = weights[0]
    at = first.data_ptr()
    for weight in weights:
        if weight.data_ptr() != at or weight.stride() != first.stride():
            return None
        at += len(weight) * weight.stride(0) * weight.element_size()
    if len(weights) > 1 and len({weight.untyped_storage().data_ptr() for weight in weights}) > 1:
        return None
    shape = sum(map(len, weights)), *first.shape[1:]
    return first.detach().as_strided(shape, first.stride())


def _stacked_codes(bases: Sequence[Fp8Linear]) -> tuple[Tensor, Tensor]:
    """Codes [N, D] and scales [N] of layers, which become views of them."""
    codes = joined_view([base.codes for base in bases])
    if codes is None:
        codes = torch.cat([base.codes.view(torch.uint8) for base in bases]).view(bases[0].codes.dtype)
        for base, part in zip(bases, codes.split([base.out_features for base in bases]), strict=True):
            base.codes = part
    return codes, torch.cat([base.scale for base in bases])


def _a_products(x_TD: Tensor, a_RD: Tensor) -> Tensor:
    return x_TD.to(a_RD.dtype) @ a_RD.T


@torch.no_grad()
def _moved(weights: Sequence[Tensor], ranks: int) -> Tensor:
    """One tensor of all weights below each other and `ranks` rows of zeros, of which the weights become views."""
    rows = sum(map(len, weights))
    joined = weights[0].new_zeros(rows + ranks, weights[0].shape[1])
    start = 0
    for weight in weights:
        joined[start : start + len(weight)] = weight
        weight.data = joined[start : start + len(weight)]
        start += len(weight)
    return joined
