"""What a product saves for its backward pass, and its gradients of LoRA B.

# T = tokens, N = width out, R = adapter ranks side by side, padded
"""

from typing import Any, NamedTuple

from torch import Tensor

from texlens.kernels.moe_lora.gating import GatedState


class DoraState(NamedTuple):
    """The LoRA state of a product with DoRA, and its result [T, N], before scaling or after it."""

    lora: Any
    result: Tensor


class DoraGrads(NamedTuple):
    """The gradient of LoRA B, and of all magnitudes [N]."""

    lora_b: Any
    magnitude: Tensor


LoraState = Tensor | GatedState | DoraState
"""The LoRA A output [T, R] that LoRA B multiplies; with routers or DoRA what their backward passes need."""

LoraBGrads = Tensor | tuple[Tensor, ...] | DoraGrads
"""The gradient of all LoRA B side by side [N, R], or of each adapter's own [n, r], scaling included."""
