"""Products over an augmented weight [N + R, D + R] in the dtype of the activations.

# T = tokens, D = width in, N = width out, R = adapter ranks side by side, padded
"""

import torch
from torch import Tensor

from texlens.kernels.adapter import ALIGNMENT, Adapter
from texlens.kernels.dropout.mask import LoraDropout
from texlens.kernels.elementwise.backend import ElementwiseKernels
from texlens.kernels.lora_linear.fused_linear import (
    DroppedRows,
    FusedLinear,
    FusedLinearBase,
    SwigluGrads,
)
from texlens.kernels.lora_linear.states import LoraBGrads, LoraState
from texlens.kernels.moe_lora.api import Gating
from texlens.kernels.swiglu.backend import triton_swiglu


class AugmentedLinear(FusedLinearBase):
    """A product over `augmented_weight()`."""

    @property
    def extra_columns(self) -> int:
        return self.ranks

    def augmented_weight(self) -> Tensor:
        """[N + R, D + R]: the weight, all LoRA B, scaled, at its right, all LoRA A below it.

        Valid until that of another product is asked for.
        """
        raise NotImplementedError

    def forward(self, x: Tensor) -> tuple[Tensor, LoraState | None]:
        weight, lora_a_out, state = self.augmented_weight(), None, None
        has_extra_columns = x.shape[1] > self.width
        if self.ranks:
            lora_a_out, state = self.lora_a_product(x[:, : self.width], weight[self.height :, : self.width])
            if has_extra_columns:
                x[:, self.width :] = lora_a_out
        y = self._product(x, weight)
        if lora_a_out is not None and not has_extra_columns:
            y.addmm_(lora_a_out, weight[: self.height, self.width :].T)
        return y, state

    def _product(self, x: Tensor, weight: Tensor) -> Tensor:
        weight = weight[: self.height, : x.shape[1]]
        return torch.mm(x, weight.T) if self.bias is None else torch.addmm(self.bias, x, weight.T)

    def forward_of_swiglu(self, kernels: ElementwiseKernels, gate_up: Tensor) -> tuple[Tensor, LoraState | None]:
        fused = triton_swiglu("forward", "augmented", gate_up, self.adapters) if self.is_ungated else None
        if fused is None:
            return super().forward_of_swiglu(kernels, gate_up)
        weight = self.augmented_weight()
        lora_a = weight[self.height :, : self.width]
        x, lora_a_out = fused.swiglu_augmented(gate_up, lora_a, dropout=self.active_dropout)
        return self._product(x, weight), lora_a_out

    def backward_rows(
        self, grad: Tensor, lora_a_out: LoraState | None
    ) -> tuple[Tensor | DroppedRows, Tensor | None, LoraBGrads | None]:
        if self.drops:
            grads = self.lora_b_grads(grad[:, : self.height], lora_a_out)
            return DroppedRows(grad[:, : self.height], grads[0], self.dropped), *grads
        return grad, *self.lora_b_grads(grad[:, : self.height], lora_a_out, grad[:, self.height :])

    def swiglu_backward(
        self,
        kernels: ElementwiseKernels,
        grad: Tensor,
        gate_up: Tensor,
        lora_a_out: LoraState | None,
        grad_down_lora_a_out: Tensor | None,
        down: FusedLinear,
    ) -> SwigluGrads:
        fused = None
        if self.is_ungated and down.is_ungated:
            fused = triton_swiglu("backward", "augmented", gate_up, self.adapters)
        if fused is None or not isinstance(lora_a_out, Tensor):
            return super().swiglu_backward(kernels, grad, gate_up, lora_a_out, grad_down_lora_a_out, down)
        lora_b = self.augmented_weight()[: self.height, self.width :]
        sides = lora_a_out, grad_down_lora_a_out, lora_b, self.adapters
        grads = SwigluGrads(*fused.swiglu_backward_augmented(grad, gate_up, *sides, dropout=down.active_dropout))
        if not self.drops:
            return grads
        return grads._replace(rows=DroppedRows(grads.rows[:, : self.height], grads.lora_a_out, self.dropped))

    def grad_input(self, rows: Tensor | DroppedRows) -> Tensor:
        weight = self.augmented_weight()
        if isinstance(rows, Tensor):
            return _product_in_vectors(rows, weight[:, : self.width])
        assert self.dropout is not None
        dx = rows.write_dropped(
            _rows_in_vectors(rows.grad, self.width), weight[self.height :, : self.width], self.dropout
        )
        return dx.addmm_(rows.grad, weight[: self.height, : self.width])

    def lora_b_grads(
        self, grad: Tensor, lora_a_out: LoraState | None, extra_columns: Tensor | None = None
    ) -> tuple[Tensor | None, LoraBGrads | None]:
        if lora_a_out is None:
            return None, None
        lora_b = self.augmented_weight()[: self.height, self.width :]
        return self.lora_backward(grad, lora_b, lora_a_out, extra_columns)


class DenseLinear(AugmentedLinear):
    """An augmented weight that stays in memory, [N + R, D + R]."""

    def __init__(
        self,
        augmented: Tensor,
        height: int,
        bias: Tensor | None,
        adapters: tuple[Adapter, ...],
        dropout: LoraDropout | None = None,
        gating: Gating | None = None,
    ):
        ranks = len(augmented) - height
        super().__init__(height, augmented.shape[1] - ranks, bias, adapters, dropout, gating)
        self.augmented, self.ranks = augmented, ranks

    def augmented_weight(self) -> Tensor:
        if self.take_changes():
            weight = self.augmented
            self.write_adapters(weight[: self.height, self.width :], weight[self.height :, : self.width])
        return self.augmented


def _product_in_vectors(left: Tensor, right: Tensor) -> Tensor:
    """left @ right, with `_rows_in_vectors`."""
    return torch.mm(left, right, out=_rows_in_vectors(left, right.shape[1]))


def _rows_in_vectors(left: Tensor, width: int) -> Tensor:
    """Undefined rows [T, width] for a product of left [T, -]; on a GPU each begins at a multiple of 16 bytes, without
    which cuBLAS takes slow kernels."""
    if left.is_cuda and width * left.itemsize % 16:
        return left.new_empty(len(left), -(-width // ALIGNMENT) * ALIGNMENT)[:, :width]
    return left.new_empty(len(left), width)
