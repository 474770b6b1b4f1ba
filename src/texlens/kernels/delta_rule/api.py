"""The gated delta rule over packs: its Protocol, its backends, and which of them runs.

# T = tokens, S = segments, K = key heads, H = value heads, X = width of a key, Y = width of a value
"""

import importlib.util
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from texlens.core.notes import print_note
from texlens.kernels import backends
from texlens.kernels.backends import Registry

PACKAGE = "fla"


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


def _fla() -> DeltaRule:
    from texlens.kernels.delta_rule import flash_linear_attention

    return flash_linear_attention


BACKENDS: Registry[DeltaRule] = Registry(reference=_reference, fla=_fla)


def delta_rule_kernels(device: torch.device) -> DeltaRule:
    """The kernels of flash-linear-attention on a GPU that can run them, else the reference, with a note."""
    if device.type != "cuda":
        return BACKENDS["reference"]
    if reason := kernels_missing_reason():
        print_note(
            f"the gated delta rule runs in plain PyTorch, many times slower: {reason}; pip install 'texlens[gpu]'"
        )
        return BACKENDS["reference"]
    return BACKENDS["fla"]


def kernels_missing_reason() -> str | None:
    """Why the GPU kernels can't run, or None."""
    if not backends.TRITON_ENABLED:
        return "Triton kernels are turned off"
    for package in ("triton", PACKAGE):
        if importlib.util.find_spec(package) is None:
            return f"the package {'flash-linear-attention' if package == PACKAGE else package} is not installed"
    return None
