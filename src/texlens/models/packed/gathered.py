"""Linear layers whose weights are divided over processes, as the products that the fused layers take: gathered by FSDP
while their layer runs, and copied next to their adapters into one buffer that all layers of a model share.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from texlens.kernels.experts.linear import ExpertAdapter, ExpertProduct
from texlens.models.packed.projections import LoraOptions, adapters_of, base_of
from texlens.models.packed.weight_buffer import BufferedLinear, WeightBuffer


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


class GatheredExperts(ExpertProduct):
    """A stack of experts [E, N, D] of which each process keeps a part, gathered while its layer runs.

    Args:
        experts: the module that has the stack.
        name: of the stack.
    """

    def __init__(self, experts: nn.Module, name: str, adapter: ExpertAdapter | None, buffer: WeightBuffer):
        self.experts, self.name, self.buffer = experts, name, buffer
        count, height, width = self._stack().shape
        super().__init__(height, width, adapter)
        self.shape = count, height + self.extra_columns, width + self.extra_columns
        if self.extra_columns:
            buffer.reserve(math.prod(self.shape))

    def _stack(self) -> Tensor:
        return getattr(self.experts, self.name).detach()

    def augmented_weight(self) -> Tensor:
        stack = self._stack()
        if not self.extra_columns:
            return stack
        augmented = self.buffer.view(self.shape, stack.dtype, stack.device)
        if self.take_changes() or self.buffer.owner is not self:
            self._write(augmented, stack)
            self.buffer.owner = self
        return augmented

    @torch.no_grad()
    def _write(self, augmented: Tensor, stack: Tensor) -> None:
        augmented[:, : self.height, self.width :] = 0
        augmented[:, self.height :, : self.width] = 0
        augmented[:, : self.height, : self.width] = stack
        self.write_adapter(augmented)
