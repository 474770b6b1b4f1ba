"""The gated delta rule over packs: its Protocol, its backends, and which of them runs.

# T = tokens, S = segments, K = key heads, H = value heads, X = width of a key, Y = width of a value
"""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from texlens.core.notes import print_note
from texlens.kernels.backends import Registry, runs_triton, triton_missing_reason


@runtime_checkable
class DeltaRule(Protocol):
    """`reference.delta_rule`."""

    def delta_rule(
        self,
        query: Float[Tensor, "T K X"],
        key: Float[Tensor, "T K X"],
        value: Float[Tensor, "T H Y"],
        log_decay: Float[Tensor, "T H"],
        beta: Float[Tensor, "T H"],
        cu_seqlens: Int[Tensor, " bounds"],
        *,
        initial_states: Float[Tensor, "S H X Y"] | None = None,
    ) -> tuple[Float[Tensor, "T H Y"], Float[Tensor, "S H X Y"]]:
        """Outputs and the state at the end of each segment, float32, both with autograd; segments begin in
        `initial_states`, or in empty ones."""
        ...


def _reference() -> DeltaRule:
    from texlens.kernels.delta_rule import reference

    return reference


def _triton() -> DeltaRule:
    from texlens.kernels.delta_rule import triton

    return triton


BACKENDS: Registry[DeltaRule] = Registry(reference=_reference, triton=_triton)


def delta_rule_kernels(device: torch.device) -> DeltaRule:
    """Our Triton kernels where they run; on a GPU without them the reference, with a note."""
    if runs_triton(device):
        return BACKENDS["triton"]
    if device.type == "cuda":
        reason = triton_missing_reason()
        print_note(f"the gated delta rule runs in plain PyTorch, many times slower: {reason}")
    return BACKENDS["reference"]
