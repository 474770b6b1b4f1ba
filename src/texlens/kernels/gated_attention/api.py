"""Attention whose heads are normed, turned in their first columns alone, and gated: which kernels run.

# T = tokens, H = query heads, G = key/value heads, W = width of a head, R = columns that turn
# N = columns of the first product, (2 H + 2 G) W
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from texlens.kernels.attention.segments import Segments
from texlens.kernels.backends import Registry, runs_triton
from texlens.kernels.gated_attention.heads import GatedHeads


@runtime_checkable
class GatedAttentionKernels(Protocol):
    """The reference is `models.packed.mixers.GatedAttention`, under autograd."""

    def gated_attention(
        self,
        heads: GatedHeads,
        y: Float[Tensor, "T N"],
        cos: Float[Tensor, "T R"],
        sin: Float[Tensor, "T R"],
        segments: Segments,
        *,
        extra_columns: tuple[int, int] = (0, 0),
    ) -> tuple[Float[Tensor, "T columns"], Callable[[Tensor], Tensor]]:
        """From the first product to the input of the output product, [T, H W] and columns that are not written, and the
        function from the gradient of the former [T, H W] to that of y, [T, N] and columns that are not written."""
        ...

    def split(
        self, heads: GatedHeads, y: Float[Tensor, "T N"], cos: Float[Tensor, "T R"], sin: Float[Tensor, "T R"]
    ) -> tuple[Float[Tensor, "T H W"], Float[Tensor, "T G W"]]:
        """Normed and turned queries and keys."""
        ...

    def gate(
        self, heads: GatedHeads, output: Float[Tensor, "T H W"], y: Float[Tensor, "T N"], extra_columns: int = 0
    ) -> Float[Tensor, "T columns"]:
        """output * sigmoid(gate), [T, H W] and columns that are not written."""
        ...


def _triton() -> GatedAttentionKernels:
    from texlens.kernels.gated_attention import triton

    return triton


BACKENDS: Registry[GatedAttentionKernels] = Registry(triton=_triton)


def gated_attention_kernels(device: torch.device) -> GatedAttentionKernels | None:
    """None where Triton does not run."""
    return BACKENDS["triton"] if runs_triton(device) else None
