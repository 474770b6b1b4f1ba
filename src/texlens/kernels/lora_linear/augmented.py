"""Products over an augmented weight [N + R, D + R] in the dtype of the activations.

# T = tokens, D = width in, N = width out, R = adapter ranks side by side, padded
"""

import torch
from torch import Tensor

from texlens.kernels.adapter import Adapter, padded_ranks
from texlens.kernels.elementwise.backend import ElementwiseKernels
from texlens.kernels.lora_linear.fused_linear import FusedLinearBase, LoraBGrads, SwigluGrads, lora_b_backward
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

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        weight, lora_a_out = self.augmented_weight(), None
        has_extra_columns = x.shape[1] > self.width
        if self.ranks:
            lora_a_out = torch.mm(x[:, : self.width], weight[self.height :, : self.width].T)
            if has_extra_columns:
                x[:, self.width :] = lora_a_out
        y = self._product(x, weight)
        if lora_a_out is not None and not has_extra_columns:
            y.addmm_(lora_a_out, weight[: self.height, self.width :].T)
        return y, lora_a_out

    def _product(self, x: Tensor, weight: Tensor) -> Tensor:
        weight = weight[: self.height, : x.shape[1]]
        return torch.mm(x, weight.T) if self.bias is None else torch.addmm(self.bias, x, weight.T)

    def forward_of_swiglu(self, kernels: ElementwiseKernels, gate_up: Tensor) -> tuple[Tensor, Tensor | None]:
        if (fused := triton_swiglu("forward", "augmented", gate_up, self.adapters)) is None:
            return super().forward_of_swiglu(kernels, gate_up)
        weight = self.augmented_weight()
        x, lora_a_out = fused.swiglu_augmented(gate_up, weight[self.height :, : self.width])
        return self._product(x, weight), lora_a_out

    def backward_rows(self, grad: Tensor, lora_a_out: Tensor | None) -> tuple[Tensor, Tensor | None, LoraBGrads | None]:
        return grad, *self.lora_b_grads(grad[:, : self.height], lora_a_out, grad[:, self.height :])

    def swiglu_backward(
        self,
        kernels: ElementwiseKernels,
        grad: Tensor,
        gate_up: Tensor,
        lora_a_out: Tensor | None,
        grad_down_lora_a_out: Tensor | None,
    ) -> SwigluGrads:
        fused = None if lora_a_out is None else triton_swiglu("backward", "augmented", gate_up, self.adapters)
        if fused is None or lora_a_out is None:
            return super().swiglu_backward(kernels, grad, gate_up, lora_a_out, grad_down_lora_a_out)
        lora_b = self.augmented_weight()[: self.height, self.width :]
        sides = lora_a_out, grad_down_lora_a_out, lora_b, self.adapters
        return SwigluGrads(*fused.swiglu_backward_augmented(grad, gate_up, *sides))

    def grad_input(self, rows: Tensor) -> Tensor:
        return torch.mm(rows, self.augmented_weight()[:, : self.width])

    def lora_b_grads(
        self, grad: Tensor, lora_a_out: Tensor | None, extra_columns: Tensor | None = None
    ) -> tuple[Tensor | None, LoraBGrads | None]:
        if lora_a_out is None:
            return None, None
        lora_b = self.augmented_weight()[: self.height, self.width :]
        return lora_b_backward(grad, lora_b, lora_a_out, self.adapters, extra_columns)


class DenseLinear(AugmentedLinear):
    """An augmented weight that stays in memory, [N + R, D + R]."""

    def __init__(self, augmented: Tensor, height: int, bias: Tensor | None, adapters: tuple[Adapter, ...]):
        super().__init__(height, augmented.shape[1] - padded_ranks(adapters), bias, adapters)
        self.augmented = augmented

    def augmented_weight(self) -> Tensor:
        if self.take_changes():
            weight = self.augmented
            self.write_adapters(weight[: self.height, self.width :], weight[self.height :, : self.width])
        return self.augmented
