"""Products whose weight is written into a buffer just before each use; all layers of a model share the buffer."""

import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from texlens.kernels.adapter import Adapter
from texlens.kernels.dropout.mask import LoraDropout
from texlens.kernels.experts.linear import ExpertAdapter, ExpertProduct
from texlens.kernels.lora_linear.augmented import AugmentedLinear
from texlens.kernels.moe_lora.api import Gating


@runtime_checkable
class BufferedProduct(Protocol):
    """A product whose augmented weight has `shape` and is in the buffer until another product's is asked for."""

    @property
    def shape(self) -> Sequence[int]: ...
    @property
    def dtype(self) -> torch.dtype: ...
    @property
    def device(self) -> torch.device: ...

    def take_changes(self) -> bool:
        """Whether the adapters have changed since the last call."""
        ...

    def write_augmented(self, augmented: Tensor) -> None: ...


class WeightBuffer:
    """Memory for the largest augmented weight of a model, allocated at first use; for products on one stream.

    `owner` is the product whose weight was written last.
    """

    def __init__(self):
        self.count = 0
        self.values: Tensor | None = None
        self.owner: object = None

    def reserve(self, count: int) -> None:
        self.count, self.values = max(self.count, count), None

    def forget(self) -> None:
        """Has the next product written: what a CUDA graph wrote is not known here."""
        self.owner = None

    def view(self, shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
        if self.values is None:
            self.values, self.owner = torch.zeros(self.count, dtype=dtype, device=device), None
        return self.values[: math.prod(shape)].view(*shape)

    def weight_of(self, product: "BufferedProduct") -> Tensor:
        """The product's augmented weight, written again if it or the buffer has changed."""
        augmented = self.view(product.shape, product.dtype, product.device)
        if product.take_changes() or self.owner is not product:
            product.write_augmented(augmented)
            self.owner = product
        return augmented


class BufferedLinear(AugmentedLinear):
    """An augmented weight that is in the buffer until that of another product is asked for."""

    def __init__(
        self,
        height: int,
        width: int,
        bias: Tensor | None,
        adapters: tuple[Adapter, ...],
        buffer: WeightBuffer,
        dropout: LoraDropout | None = None,
        gating: Gating | None = None,
        *,
        dtype: torch.dtype,
        device: torch.device,
    ):
        super().__init__(height, width, bias, adapters, dropout, gating)
        self.buffer, self.dtype, self.device = buffer, dtype, device
        self.shape = self.height + self.ranks, self.width + self.ranks
        buffer.reserve(math.prod(self.shape))

    def write_weight(self, weight: Tensor) -> None:
        """Writes the weight without adapters into `weight`, [N, D]."""
        raise NotImplementedError

    def augmented_weight(self) -> Tensor:
        return self.buffer.weight_of(self)

    @torch.no_grad()
    def write_augmented(self, augmented: Tensor) -> None:
        self.write_weight(augmented[: self.height, : self.width])
        if self.ranks:
            lora_b, lora_a = augmented[: self.height, self.width :], augmented[self.height :, : self.width]
            if not self._fills_extra_columns():
                lora_b.zero_()
                lora_a.zero_()
            self.write_adapters(lora_b, lora_a)

    def _fills_extra_columns(self) -> bool:
        """Whether the first adapter takes all extra rows and columns."""
        adapter = self.adapters[0]
        return (len(adapter.lora_b), len(adapter.lora_a)) == (self.height, self.ranks)


class BufferedExperts(ExpertProduct):
    """An augmented stack of experts that is in the buffer until another product's weight is asked for.

    Args:
        shape: [E, N, D] of the stack.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        adapter: ExpertAdapter | None,
        buffer: WeightBuffer,
        *,
        dtype: torch.dtype,
        device: torch.device,
    ):
        experts, height, width = shape
        super().__init__(height, width, adapter)
        self.buffer, self.dtype, self.device = buffer, dtype, device
        self.shape = experts, height + self.extra_columns, width + self.extra_columns
        if self.is_buffered:
            buffer.reserve(math.prod(self.shape))

    @property
    def is_buffered(self) -> bool:
        """False for products that need no copy."""
        return True

    def write_stack(self, stack: Tensor) -> None:
        """Writes the weights without adapters into `stack`, [E, N, D]."""
        raise NotImplementedError

    def augmented_weight(self) -> Tensor:
        return self.buffer.weight_of(self)

    @torch.no_grad()
    def write_augmented(self, augmented: Tensor) -> None:
        augmented[:, : self.height, self.width :] = 0
        augmented[:, self.height :, : self.width] = 0
        self.write_stack(augmented[:, : self.height, : self.width])
        self.write_adapter(augmented)
