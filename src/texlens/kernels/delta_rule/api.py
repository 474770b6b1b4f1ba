"""The gated delta rule over packs: its Protocol, its backends, and which of them runs.

# T = tokens, S = segments, K = key heads, H = value heads, X = width of a key, Y = width of a value
"""

import importlib.metadata
import importlib.util
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from packaging.version import Version
from torch import Tensor

from texlens.core.notes import print_note
from texlens.kernels import backends
from texlens.kernels.backends import Registry

PACKAGE = "fla"
HOPPER = 9
"""Major compute capability of the H100 and H200."""
WRONG_TRITON = Version("3.4.0"), Version("3.7.1")
"""First version whose gradients are wrong on Hopper, and first that is right again."""


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


def _fla() -> DeltaRule:
    from texlens.kernels.delta_rule import flash_linear_attention

    return flash_linear_attention


BACKENDS: Registry[DeltaRule] = Registry(reference=_reference, triton=_triton, fla=_fla)


def delta_rule_kernels(device: torch.device, *, with_gradients: bool = False) -> DeltaRule:
    """The kernels of flash-linear-attention on a GPU that can run them, else the reference, with a note.

    Args:
        with_gradients: whether a backward pass follows.
    """
    if device.type != "cuda":
        return BACKENDS["reference"]
    remedy = "pip install 'texlens[gpu]'"
    reason = kernels_missing_reason()
    if not reason and with_gradients:
        reason, remedy = (
            wrong_gradients_reason(device),
            "install a PyTorch with a newer Triton, or pip install tilelang",
        )
    if reason:
        print_note(f"the gated delta rule runs in plain PyTorch, many times slower: {reason}; {remedy}")
        return BACKENDS["reference"]
    return BACKENDS["fla"]


def wrong_gradients_reason(device: torch.device) -> str | None:
    """Why the backward kernels can't be used, or None.

    Triton 3.4 to 3.7.0 compiles them wrongly for Hopper GPUs, where the package refuses to run them unless tilelang is
    there (https://github.com/fla-org/flash-linear-attention/issues/640).
    """
    version = Version(importlib.metadata.version("triton"))
    is_hopper = torch.cuda.get_device_capability(device)[0] == HOPPER
    if not is_hopper or not WRONG_TRITON[0] <= version < WRONG_TRITON[1] or importlib.util.find_spec("tilelang"):
        return None
    return f"Triton {version} compiles the backward kernels of flash-linear-attention wrongly for this GPU"


def kernels_missing_reason() -> str | None:
    """Why the GPU kernels can't run, or None."""
    if not backends.TRITON_ENABLED:
        return "Triton kernels are turned off"
    for package in ("triton", PACKAGE):
        if importlib.util.find_spec(package) is None:
            return f"the package {'flash-linear-attention' if package == PACKAGE else package} is not installed"
    return None
