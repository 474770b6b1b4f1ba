"""Quantized rows and products of them, by Triton and cuBLAS on a GPU and by the reference elsewhere.

# T = rows, D = width, N = width out, R = appended columns
"""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from texlens.kernels.backends import Registry
from texlens.kernels.fp8.reference import quantize_rows_reference


@runtime_checkable
class QuantizeRows(Protocol):
    """See `quantize_rows`."""

    def __call__(
        self, x: Tensor, appended: Tensor | None = None, rescale: Tensor | None = None
    ) -> tuple[Tensor, Tensor]: ...


def _reference() -> QuantizeRows:
    return quantize_rows_reference


def _triton() -> QuantizeRows:
    from texlens.kernels.fp8.triton import quantize_rows as triton_quantize_rows

    return triton_quantize_rows


BACKENDS: Registry[QuantizeRows] = Registry(reference=_reference, triton=_triton)


def quantize_rows(
    x: Float[Tensor, "T D"], appended: Float[Tensor, "T R"] | None = None, rescale: Float[Tensor, "1"] | None = None
) -> tuple[Float[Tensor, "T columns"], Float[Tensor, "T 1"]]:
    """x in float8, followed by the padded columns of `appended` times `rescale`, and the scales of the rows."""
    return BACKENDS["triton" if x.is_cuda else "reference"](x, appended, rescale)


def scaled_product(
    quantized: Float[Tensor, "T D"],
    scale: Float[Tensor, "T 1"],
    weight: Float[Tensor, "N D"],
    weight_scale: Float[Tensor, " N"],
    bias: Float[Tensor, " N"] | None,
    dtype: torch.dtype,
) -> Float[Tensor, "T N"]:
    """(quantized x scale) @ (weight x weight_scale).T + bias, in `dtype`."""
    if quantized.is_cuda:
        scales = {"scale_a": scale, "scale_b": weight_scale[None]}
        return torch._scaled_mm(quantized, weight.T, **scales, bias=bias, out_dtype=dtype, use_fast_accum=True)
    y = (quantized.float() @ weight.float().T) * scale * weight_scale
    return (y if bias is None else y + bias).to(dtype)
