"""Linear layers whose weights are divided over processes, as the products that the fused layers take: gathered by FSDP
while their layer runs, and copied next to their adapters into one buffer that all layers of a model share.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from texlens.kernels.experts.linear import ExpertAdapter
from texlens.models.packed.projections import LoraOptions, adapters_of, base_of
from texlens.models.packed.weight_buffer import BufferedExperts, BufferedLinear, WeightBuffer


class GatheredLinear(BufferedLinear):
    """Stacked linear layers of one input. Their weights are read from the modules at each use, because FSDP replaces
    the parameters of a module when it gathers and frees them."""

    def __init__(self, layers: Sequence[nn.Module], buffer: WeightBuffer, options: LoraOptions | None = None):
        self.bases = [base_of(layer) for layer in layers]
        first = self.bases[0]
        height = sum(base.out_features for base in self.bases)
        bias = None if first.bias is None else torch.cat([base.bias.detach() for base in self.bases])
        dropout, gating = (options or LoraOptions()).variant(layers)
        tensor_options = {"dtype": first.weight.dtype, "device": first.weight.device}
        super().__init__(
            height, first.in_features, bias, adapters_of(layers), buffer, dropout, gating, **tensor_options
        )

    def write_weight(self, weight: Tensor) -> None:
        torch.cat([base.weight.detach() for base in self.bases], out=weight)

    def augmented_weight(self) -> Tensor:
        if len(self.bases) == 1 and not self.ranks:
            return self.bases[0].weight.detach()
        return super().augmented_weight()


class GatheredExperts(BufferedExperts):
    """A stack of experts [E, N, D] of which each process keeps a part, gathered while its layer runs.

    Args:
        experts: the module that has the stack.
        name: of the stack.
    """

    def __init__(self, experts: nn.Module, name: str, adapter: ExpertAdapter | None, buffer: WeightBuffer):
        self.experts, self.name = experts, name
        stack = self._stack()
        count, height, width = stack.shape
        super().__init__((count, height, width), adapter, buffer, dtype=stack.dtype, device=stack.device)

    @property
    def is_buffered(self) -> bool:
        return bool(self.extra_columns)

    def _stack(self) -> Tensor:
        return getattr(self.experts, self.name).detach()

    def augmented_weight(self) -> Tensor:
        return super().augmented_weight() if self.is_buffered else self._stack()

    def write_stack(self, stack: Tensor) -> None:
        stack.copy_(self._stack())
