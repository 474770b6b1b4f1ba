"""The operations between the float8 products of a vision block: each returns the rows that the next product takes.

On a GPU one Triton kernel an operation, elsewhere the reference.

# P = patches, D = width, H = heads, W = width of a head
"""

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from texlens.kernels.backends import Registry
from texlens.kernels.decoder_layer.reference import rotate
from texlens.kernels.elementwise.backend import BACKENDS as ELEMENTWISE
from texlens.kernels.vision_fp8 import reference
from texlens.kernels.vision_fp8.format import Quantized


@runtime_checkable
class VisionFp8Kernels(Protocol):
    """See `norm_quantize` and `gelu_quantize`."""

    def norm_quantize(
        self, x: Tensor, residual: Tensor | None, weight: Tensor, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Quantized]: ...

    def gelu_quantize(self, x: Tensor, gelu: tuple[float, float]) -> Quantized: ...


class _Reference:
    norm_quantize = staticmethod(reference.norm_quantize_reference)
    gelu_quantize = staticmethod(reference.gelu_quantize_reference)


def _triton() -> VisionFp8Kernels:
    from texlens.kernels.vision_fp8 import triton

    return triton


BACKENDS: Registry[VisionFp8Kernels] = Registry(reference=_Reference, triton=_triton)


def norm_quantize(
    x: Float[Tensor, "P D"],
    residual: Float[Tensor, "P D"] | None,
    weight: Float[Tensor, " D"],
    bias: Float[Tensor, " D"] | None,
    eps: float,
) -> tuple[Float[Tensor, "P D"], Quantized]:
    """x + residual, which may be written over `residual`, and its norm in float8: a layer norm, or an RMS norm without
    a bias."""
    return _kernels(x).norm_quantize(x, residual, weight, bias, eps)


def gelu_quantize(x: Float[Tensor, "P D"], gelu: tuple[float, float]) -> Quantized:
    """The activation of x in float8; `gelu` is a value of `format.GELUS`."""
    return _kernels(x).gelu_quantize(x, gelu)


def split_heads_rope(
    y: Float[Tensor, "P columns"], heads: int, cos: Float[Tensor, "P W"], sin: Float[Tensor, "P W"]
) -> tuple[Float[Tensor, "P H W"], Float[Tensor, "P H W"], Float[Tensor, "P H W"]]:
    """Rotated queries and keys, and values, from the q/k/v product; both halves of cos and sin are equal."""
    query, key, value = y.unflatten(-1, (3, heads, -1)).unbind(1)
    if y.is_cuda:
        kernels = ELEMENTWISE["triton"]
        query, key = kernels.split_heads_norm_rope(y, heads, heads, query.shape[-1], None, 0.0, cos, sin)
        return query, key, value
    return rotate(query, cos, sin), rotate(key, cos, sin), value


def _kernels(x: Tensor) -> VisionFp8Kernels:
    return BACKENDS["triton" if x.is_cuda else "reference"]
