"""Where SwiGLU runs together with the LoRA products around it; `lora_linear` has the separate operations.

# T = tokens, F = width of the MLP, R = adapter ranks side by side, padded
"""

from collections.abc import Sequence
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from texlens.kernels.adapter import Adapter
from texlens.kernels.backends import Registry, runs_triton
from texlens.kernels.dropout.mask import LoraDropout

MAX_RANKS = 32
"""Of one adapter: sums over rows for more would not fit into registers."""

Direction = Literal["forward", "backward"]
Form = Literal["augmented", "quantized"]

ENABLED: dict[tuple[Direction, Form], bool] = {
    ("forward", "augmented"): True,
    ("forward", "quantized"): True,
    ("backward", "augmented"): True,
    ("backward", "quantized"): True,
}
"""What runs by Triton where it can run."""


@runtime_checkable
class SwigluKernels(Protocol):
    """See `swiglu.triton`."""

    def swiglu_augmented(
        self, gate_up: Tensor, lora_a: Tensor, *, dropout: LoraDropout | None = None
    ) -> tuple[Tensor, Tensor]: ...

    def swiglu_quantized(
        self, gate_up: Tensor, lora_a: Tensor, rescale: Tensor
    ) -> tuple[tuple[Tensor, Tensor], Tensor]: ...

    def swiglu_backward_augmented(
        self,
        grad: Tensor,
        gate_up: Tensor,
        lora_a_out: Tensor,
        grad_down_lora_a_out: Tensor | None,
        lora_b: Tensor,
        adapters: Sequence[Adapter],
        *,
        dropout: LoraDropout | None = None,
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...], Tensor | None]: ...

    def swiglu_backward_quantized(
        self,
        grad: Tensor,
        gate_up: Tensor,
        lora_a_out: Tensor,
        grad_down_lora_a_out: Tensor | None,
        lora_b: Tensor,
        adapters: Sequence[Adapter],
        rescale: Tensor,
    ) -> tuple[tuple[Tensor, Tensor], Tensor, tuple[Tensor, ...], Tensor | None]: ...


def _triton() -> SwigluKernels:
    from texlens.kernels.swiglu import triton

    return triton


BACKENDS: Registry[SwigluKernels] = Registry(triton=_triton)


def triton_swiglu(
    direction: Direction, form: Form, gate_up: Tensor, adapters: Sequence[Adapter]
) -> SwigluKernels | None:
    """Our kernels if they do this direction for these adapters, else None."""
    if not ENABLED[direction, form] or not runs_triton(gate_up.device) or separate_reason(adapters, gate_up.dtype):
        return None
    return BACKENDS["triton"]


def separate_reason(adapters: Sequence[Adapter], dtype: torch.dtype) -> str | None:
    """Why the adapters of a product can't be computed together with SwiGLU, or None."""
    if not adapters:
        return "no adapters"
    if dtype.itemsize > 4:
        return f"{dtype} values"
    ranks = max(len(adapter.lora_a) for adapter in adapters)
    return f"{ranks} ranks, more than {MAX_RANKS}" if ranks > MAX_RANKS else None
