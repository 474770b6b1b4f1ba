"""The expert beside a mixture that every token passes, weighed by a gate of its own.

# T = rows, D = width, F = width of the expert
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from texlens.inference.engine.layers.experts import DenseMlp
from texlens.inference.engine.layers.weights import Scratch
from texlens.kernels.decode.backend import DecodeKernels


class SharedExpert:
    """
    Args:
        block: the sparse block of a decoder layer, with `shared_expert` and `shared_expert_gate`.
    """

    def __init__(self, block: Any, adapters: Sequence[str | None], scratch: Scratch):
        self._mlp, self._gate = DenseMlp(block.shared_expert, adapters, scratch), block.shared_expert_gate

    def __call__(self, x_TD: Tensor, adapter_T: Tensor, kernels: DecodeKernels) -> Tensor:
        act_TF = kernels.swiglu(self._mlp.gate_up.product(x_TD, adapter_T))
        return self._mlp.down.product(act_TF, adapter_T).complete() * self._gate(x_TD).sigmoid()

    def refresh(self) -> None:
        self._mlp.refresh()
