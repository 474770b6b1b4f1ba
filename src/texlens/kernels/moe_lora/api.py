"""The gates of the layers of one product, by Triton where it runs and by the reference elsewhere.

# T = tokens, R = columns of LoRA A outputs
"""

from typing import Protocol, runtime_checkable

from torch import Tensor

from texlens.kernels.backends import Registry, runs_triton
from texlens.kernels.moe_lora.gating import GatedState, Router


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
