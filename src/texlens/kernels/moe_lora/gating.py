"""The gates of MoE-LoRA between LoRA A and LoRA B of a product.

LoRA A outputs have the columns of all experts of all stacked layers, then the router logits. Each expert's columns are
multiplied by its gate, softmax over the logits, of which the `top_k` largest are kept and divided by their sum; columns
of the logits become 0. (Mixture of LoRA experts: see `adapters.moe_lora.layer`.)

# T = tokens, R = columns, E = experts of a layer
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

from torch import Tensor

from texlens.kernels.backends import Registry, runs_triton


class GatedState(NamedTuple):
    """LoRA A outputs before and after the gates [T, R], and probabilities of each layer's experts, float32 [T, E]."""

    lora_a_out: Tensor
    gated: Tensor
    probabilities: tuple[Tensor, ...]


@dataclass(frozen=True)
class Router:
    """The router of one layer.

    Args:
        weight: [E, D].
        columns: of its experts, side by side, E times `rank`.
        rows: of LoRA A, those of its weight; also its columns of the LoRA A output.
        log: called with the probabilities of every forward pass that is trained.
    """

    weight: Tensor
    columns: slice
    rows: slice
    rank: int
    top_k: int | None
    log: Any = field(default=None, compare=False)

    @property
    def experts(self) -> int:
        return len(self.weight)


@runtime_checkable
class GatingKernels(Protocol):
    def forward(self, lora_a_out: Tensor, routers: tuple[Router, ...]) -> GatedState: ...

    def backward(
        self,
        grad_gated: Tensor,
        state: GatedState,
        grad_probabilities: tuple[Tensor | None, ...],
        routers: tuple[Router, ...],
    ) -> Tensor: ...


def _reference() -> GatingKernels:
    from texlens.kernels.moe_lora import reference

    return reference


def _triton() -> GatingKernels:
    from texlens.kernels.moe_lora import triton

    return triton


BACKENDS: Registry[GatingKernels] = Registry(reference=_reference, triton=_triton)


class Gating:
    """The routers of the layers of one product."""

    def __init__(self, routers: tuple[Router, ...]):
        self.all = routers
        self.grad_probabilities: tuple[Tensor | None, ...] = (None,) * len(routers)

    @property
    def routers(self) -> int:
        """Logits of all routers together."""
        return sum(router.experts for router in self.all)

    @property
    def weights(self) -> tuple[Tensor, ...]:
        return tuple(router.weight for router in self.all)

    @property
    def router_rows(self) -> tuple[slice, ...]:
        return tuple(router.rows for router in self.all)

    def forward(self, lora_a_out: Tensor) -> GatedState:
        return _kernels(lora_a_out).forward(lora_a_out, self.all)

    def backward(self, grad_gated: Tensor, state: GatedState) -> Tensor:
        """The gradient of the LoRA A output [T, R], logits included."""
        return _kernels(grad_gated).backward(grad_gated, state, self.grad_probabilities, self.all)


def _kernels(x: Tensor) -> GatingKernels:
    return BACKENDS["triton" if x.itemsize <= 4 and runs_triton(x.device) else "reference"]
