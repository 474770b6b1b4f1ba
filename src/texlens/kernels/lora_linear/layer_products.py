"""What every layer that runs as one function shares: its linear layers, and the routers of their MoE-LoRA."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor

from texlens.kernels.lora_linear.fused_linear import FusedLinear
from texlens.kernels.lora_linear.states import LoraState
from texlens.kernels.moe_lora.gating import GatedState, Router


class LayerProducts(ABC):
    """Base class of layers with an explicit backward pass over linear layers with adapters."""

    @property
    @abstractmethod
    def products(self) -> tuple[FusedLinear, ...]:
        """The linear layers, in the order in which they run."""

    @property
    def routers(self) -> tuple[Router, ...]:
        """Those of all products, in order."""
        return tuple(router for product in self.products if product.gating for router in product.gating.all)

    def trained(self) -> list[Tensor]:
        """Parameters that get a gradient, in the order of the backward pass's results."""
        return [part for product in self.products for part in product.trained()]

    def invalidate(self) -> None:
        """After a step of the optimizer: copies of adapters are rebuilt."""
        for product in self.products:
            product.invalidate()

    def set_grad_probabilities(self, grads: Sequence[Tensor | None]) -> None:
        """Gradients of the router probabilities, which `backward` of the products adds to those through the gates."""
        remaining = iter(grads)
        for product in self.products:
            if product.gating:
                product.gating.grad_probabilities = tuple(next(remaining) for _ in product.gating.all)

    def log_probabilities(self, probabilities: Sequence[Tensor]) -> None:
        """Hands the probabilities of a forward pass to the routers' logs."""
        for router, chance in zip(self.routers, probabilities, strict=True):
            if router.log is not None:
                router.log(chance)


def router_probabilities(states: Sequence[LoraState | None]) -> list[Tensor]:
    """Those of all MoE-LoRA among the products' saved states."""
    return [part for state in states if isinstance(state, GatedState) for part in state.probabilities]
