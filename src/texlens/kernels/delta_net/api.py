"""A whole delta net between its products: which kernels run.

# T = tokens, N = columns of the first product, C = channels of the convolution, W = its width
# K = key heads, H = value heads, X, Y = widths of keys and values, S = segments, B = rows
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from texlens.kernels.attention.prefixes import Prefixes
from texlens.kernels.backends import Registry, runs_triton
from texlens.kernels.delta_net.weights import DeltaNetWeights


@runtime_checkable
class DeltaNetKernels(Protocol):
    """The reference is `models.packed.mixers.DeltaNet`, under autograd."""

    def delta_net(
        self,
        weights: DeltaNetWeights,
        y: Float[Tensor, "T N"],
        cu_seqlens: Int[Tensor, " bounds"],
        offsets: Int[Tensor, " T"],
        *,
        extra_columns: tuple[int, int] = (0, 0),
    ) -> tuple[Float[Tensor, "T columns"], Callable[[Tensor], Tensor]]:
        """From the first product to the input of the output product, [T, H Y] and columns that are not written, and the
        function from the gradient of the former [T, H Y] to that of y, [T, N] and columns that are not written.

        Args:
            offsets: each token's place in its segment.
            extra_columns: after the result, and after the gradient.
        """
        ...

    def branched_delta_net(
        self,
        weights: DeltaNetWeights,
        y: Float[Tensor, "T N"],
        prefixes: Prefixes,
        offsets: Int[Tensor, " T"],
        *,
        extra_columns: tuple[int, int] = (0, 0),
    ) -> tuple[Float[Tensor, "T columns"], Callable[[Tensor], Tensor]]:
        """`delta_net` over segments that share prefixes."""
        ...

    def prompts(
        self,
        weights: DeltaNetWeights,
        y: Float[Tensor, "T N"],
        cu_seqlens: Int[Tensor, " bounds"],
        offsets: Int[Tensor, " T"],
    ) -> tuple[Float[Tensor, "T values"], Float[Tensor, "S H X Y"]]:
        """The result of `delta_net`, and the state at the end of each segment."""
        ...

    def step(
        self,
        weights: DeltaNetWeights,
        y: Float[Tensor, "B N"],
        slots: Int[Tensor, " B"],
        windows: Float[Tensor, "slots C before"],
        states: Float[Tensor, "slots H X Y"],
    ) -> Float[Tensor, "B values"]:
        """The same for one more token of each row; the windows and states of its slot are written over."""
        ...


def _triton() -> DeltaNetKernels:
    from texlens.kernels.delta_net import triton

    return triton


BACKENDS: Registry[DeltaNetKernels] = Registry(triton=_triton)


def delta_net_kernels(device: torch.device) -> DeltaNetKernels | None:
    """None where Triton does not run."""
    return BACKENDS["triton"] if runs_triton(device) else None
