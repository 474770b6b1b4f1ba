"""A frozen stack of expert weights with the LoRA of each expert, as one grouped product in each direction.

As in `lora_linear.fused_linear`, each expert's weight is augmented: LoRA B at its right, LoRA A below it. The update
B @ A is never materialized.

    [x, x @ A_e.T] @ [W_e, B_e].T        forward
    [grad, grad @ B_e] @ [W_e; A_e]      backward

# S = pairs of token and expert, sorted by expert, E = experts, D = width in, N = width out, R = ranks, padded
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from texlens.kernels.adapter import MULTIPLE
from texlens.kernels.experts.grouped import grouped, grouped_sum


class ExpertAdapter(NamedTuple):
    """LoRA of a stack, as PEFT stores it: A [E r, D] expert by expert, B [N, r E] rank by rank; or, where all experts
    share one pair, A [r, D] and B [N, r].

    Args:
        rank: r, of one expert.
        experts: those whose weights this process has; None for all.
    """

    lora_a: Tensor
    lora_b: Tensor
    scaling: float
    rank: int
    experts: slice | None = None

    @property
    def is_shared(self) -> bool:
        """Whether all experts have one pair."""
        return len(self.lora_a) == self.rank

    @property
    def matrices(self) -> tuple[Tensor, Tensor]:
        """A [E, r, D] and B [E, N, r] of this process's experts; E is 1 where experts share them."""
        lora_a = self.lora_a.unflatten(0, (-1, self.rank))
        lora_b = self.lora_b.unflatten(1, (self.rank, -1)).permute(2, 0, 1)
        here = slice(None) if self.is_shared or self.experts is None else self.experts
        return lora_a[here], lora_b[here]

    def as_stored(self, lora_a: Float[Tensor, "E r D"], lora_b: Float[Tensor, "E N r"]) -> tuple[Tensor, Tensor]:
        """Gradients of each expert's matrices in the layout of the parameters; 0 for experts of other processes."""
        if self.is_shared:
            lora_a, lora_b = lora_a.sum(0, keepdim=True), lora_b.sum(0, keepdim=True)
        elif self.experts is not None:
            lora_a, lora_b = self._of_all(lora_a), self._of_all(lora_b)
        lora_b = lora_b.permute(1, 2, 0).flatten(1) * self.scaling
        return lora_a.flatten(0, 1).to(self.lora_a.dtype), lora_b.to(self.lora_b.dtype)

    def _of_all(self, part: Tensor) -> Tensor:
        result = part.new_zeros(len(self.lora_a) // self.rank, *part.shape[1:])
        result[self.experts] = part
        return result


class ExpertProduct:
    """A product with each expert's `augmented_weight()`, [N + R, D + R]."""

    def __init__(self, height: int, width: int, adapter: ExpertAdapter | None):
        self.height, self.width, self.adapter = height, width, adapter
        self.extra_columns = padded_rank(adapter)
        self._versions: tuple = ()

    def augmented_weight(self) -> Tensor:
        """[E, N + R, D + R]; its left upper part is the stack of weights."""
        raise NotImplementedError

    def forward(
        self, x: Float[Tensor, "S columns"], ends: Int[Tensor, " E"]
    ) -> tuple[Float[Tensor, "S N"], Float[Tensor, "S R"] | None]:
        """x @ (W + B @ A).T and x @ A.T, from x [S, D + R] whose extra columns are written here."""
        weight, lora_a_out = self.augmented_weight(), None
        if self.adapter is not None:
            lora_a_out = grouped(x[:, : self.width], weight[:, self.height :, : self.width], ends)
            x[:, self.width :] = lora_a_out
        return grouped(x, weight[:, : self.height], ends), lora_a_out

    def backward(
        self, grad: Float[Tensor, "S columns"], ends: Int[Tensor, " E"]
    ) -> tuple[Float[Tensor, "S D"], Float[Tensor, "S R"] | None]:
        """Gradients of x and of the LoRA A output, from that of the result, [S, N + R], whose extra columns are
        written here."""
        weight, grad_lora_a_out = self.augmented_weight(), None
        if self.adapter is not None:
            lora_b = weight[:, : self.height, self.width :]
            grad_lora_a_out = grouped(grad[:, : self.height], lora_b.transpose(1, 2), ends)
            grad[:, self.height :] = grad_lora_a_out
        return grouped(grad, weight[:, :, : self.width].transpose(1, 2), ends), grad_lora_a_out

    def parameter_grads(
        self,
        grad: Float[Tensor, "S N"],
        lora_a_out: Float[Tensor, "S R"] | None,
        grad_lora_a_out: Float[Tensor, "S R"] | None,
        x: Float[Tensor, "S D"],
        ends: Int[Tensor, " E"],
    ) -> list[Tensor]:
        """Gradients of `trained`."""
        if self.adapter is None or lora_a_out is None or grad_lora_a_out is None:
            return []
        lora_a = grouped_sum(grad_lora_a_out, x, ends)[:, : self.adapter.rank]
        lora_b = grouped_sum(grad, lora_a_out, ends)[:, :, : self.adapter.rank]
        return list(self.adapter.as_stored(lora_a, lora_b))

    def trained(self) -> tuple[Tensor, ...]:
        return () if self.adapter is None else self.adapter[:2]

    def invalidate(self) -> None:
        """Has the adapter copied again at the next use: fused optimizers write to it without a new version."""
        self._versions = ()

    def take_changes(self) -> bool:
        """Whether the adapter was written to or replaced since the last call."""
        versions = tuple((part._version, part.data_ptr()) for part in self.trained())
        before, self._versions = self._versions, versions
        return versions != before

    @torch.no_grad()
    def write_adapter(self, augmented: Tensor) -> None:
        if self.adapter is None:
            return
        lora_a, lora_b = self.adapter.matrices
        rank, height, width = self.adapter.rank, self.height, self.width
        augmented[:, :height, width : width + rank] = lora_b * self.adapter.scaling
        augmented[:, height : height + rank, :width] = lora_a


class ExpertLinear(ExpertProduct):
    """An augmented stack that stays in memory, [E, N + R, D + R]."""

    def __init__(self, augmented: Tensor, adapter: ExpertAdapter | None):
        height, width = (size - padded_rank(adapter) for size in augmented.shape[1:])
        super().__init__(height, width, adapter)
        self.augmented = augmented

    def augmented_weight(self) -> Tensor:
        if self.take_changes():
            self.write_adapter(self.augmented)
        return self.augmented


def padded_rank(adapter: ExpertAdapter | None) -> int:
    return 0 if adapter is None else -(-adapter.rank // MULTIPLE) * MULTIPLE
