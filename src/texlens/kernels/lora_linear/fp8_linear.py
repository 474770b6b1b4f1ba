"""A product in float8: rows of x and of gradients are quantized here, each by its own largest value.

# T = tokens, D = width in, N = width out, R = adapter ranks side by side, padded
"""

from typing import Any

import torch
from torch import Tensor

from texlens.kernels.adapter import Adapter
from texlens.kernels.dropout.mask import LoraDropout
from texlens.kernels.elementwise.backend import ElementwiseKernels
from texlens.kernels.fp8.format import padded_columns
from texlens.kernels.fp8.quantize import quantize_rows, scaled_product
from texlens.kernels.fp8.reference import quantize_with_residual
from texlens.kernels.lora_linear.backend import triton_lora, uses_triton
from texlens.kernels.lora_linear.fused_linear import (
    DroppedRows,
    FusedLinear,
    FusedLinearBase,
    SwigluGrads,
)
from texlens.kernels.lora_linear.states import LoraBGrads, LoraState
from texlens.kernels.moe_lora.api import Gating
from texlens.kernels.swiglu.backend import triton_swiglu


class Fp8FusedLinear(FusedLinearBase):
    """
    Args:
        weight: [N, D] float8 with `scale` float32 [N].
        transposed: [D, N] float8 with `transposed_scale` [D].
        dtype: of results and of LoRA A outputs.

    The adapters' matrices are appended to both weights, in three columns a rank (`fp8.format`).
    """

    def __init__(
        self,
        weight: Tensor,
        scale: Tensor,
        transposed: Tensor,
        transposed_scale: Tensor,
        bias: Tensor | None,
        adapters: tuple[Adapter, ...],
        dtype: torch.dtype,
        dropout: LoraDropout | None = None,
        gating: Gating | None = None,
    ):
        height, width = weight.shape
        super().__init__(height, width, bias, adapters, dropout, gating)
        padding = padded_columns(self.ranks)
        self.weight, self.scale = _with_extra_columns(weight, padding), scale
        self.transposed, self.transposed_scale = _with_extra_columns(transposed, padding), transposed_scale
        self.lora_b = torch.zeros(height, self.ranks, dtype=dtype, device=weight.device)
        self.lora_a = torch.zeros(self.ranks, width, dtype=dtype, device=weight.device)
        self.dtype = dtype
        self._rescale = self._backward_rescale = scale.new_ones(1)

    def forward(self, x: Tensor) -> tuple[Tensor, LoraState | None]:
        self._refresh()
        lora_a_out, state = self.lora_a_product(x, self.lora_a) if self.ranks else (None, None)
        return self._product(*quantize_rows(x, lora_a_out, self._rescale)), state

    def _product(self, quantized: Tensor, scale: Tensor) -> Tensor:
        return scaled_product(quantized, scale, self.weight, self.scale, self.bias, self.dtype)

    def forward_of_norm(
        self, kernels: ElementwiseKernels, x: Tensor, weight: Tensor, eps: float, residual: Tensor | None = None
    ) -> tuple[Tensor, LoraState | None]:
        if not self.ranks or not self.is_plain or (fused := triton_lora("norm_quantize", x)) is None:
            return super().forward_of_norm(kernels, x, weight, eps, residual)
        self._refresh()
        rows, lora_a_out = fused.norm_quantize(x, weight, eps, self.lora_a, self._rescale, residual)
        return self._product(*rows), lora_a_out

    def forward_of_swiglu(self, kernels: ElementwiseKernels, gate_up: Tensor) -> tuple[Tensor, LoraState | None]:
        fused = triton_swiglu("forward", "quantized", gate_up, self.adapters) if self.is_plain else None
        if fused is None:
            return super().forward_of_swiglu(kernels, gate_up)
        self._refresh()
        rows, lora_a_out = fused.swiglu_quantized(gate_up, self.lora_a, self._rescale)
        return self._product(*rows), lora_a_out

    def backward_rows(self, grad: Tensor, lora_a_out: LoraState | None) -> tuple[Any, Tensor | None, LoraBGrads | None]:
        self._refresh()
        grad_lora_a_out, grad_lora_b = self.lora_b_grads(grad, lora_a_out)
        if self.drops:
            return DroppedRows(quantize_rows(grad), grad_lora_a_out, self.dropped), grad_lora_a_out, grad_lora_b
        return quantize_rows(grad, grad_lora_a_out, self._backward_rescale), grad_lora_a_out, grad_lora_b

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
        if self.is_plain and down.is_plain:
            fused = triton_swiglu("backward", "quantized", gate_up, self.adapters)
        if fused is None or not isinstance(lora_a_out, Tensor):
            return super().swiglu_backward(kernels, grad, gate_up, lora_a_out, grad_down_lora_a_out, down)
        self._refresh()
        sides = lora_a_out, grad_down_lora_a_out, self.lora_b, self.adapters, self._backward_rescale
        return SwigluGrads(*fused.swiglu_backward_quantized(grad, gate_up, *sides))

    def grad_input(self, rows: tuple[Tensor, Tensor] | DroppedRows) -> Tensor:
        if not isinstance(rows, DroppedRows):
            quantized, scale = rows
            return scaled_product(quantized, scale, self.transposed, self.transposed_scale, None, self.dtype)
        quantized, scale = rows.grad
        weight = self.transposed[:, : self.height]
        dx = scaled_product(quantized, scale, weight, self.transposed_scale, None, self.dtype)
        assert self.dropout is not None
        return rows.add_dropped(dx, self.lora_a, self.dropout)

    def lora_b_grads(
        self, grad: Tensor, lora_a_out: LoraState | None, extra_columns: Tensor | None = None
    ) -> tuple[Tensor | None, LoraBGrads | None]:
        if lora_a_out is None:
            return None, None
        self._refresh()
        return self.lora_backward(grad, self.lora_b, lora_a_out, extra_columns)

    def adapter_columns(self) -> tuple[Tensor, Tensor]:
        """The adapters' columns of both weights."""
        return self.weight[:, self.width :], self.transposed[:, self.height :]

    def _refresh(self) -> None:
        if not self.take_changes():
            return
        self.write_adapters(self.lora_b, self.lora_a)
        if not self.ranks:
            return
        columns, backward_columns = self.adapter_columns()
        if uses_triton("quantize_adapters", self.lora_b):
            from texlens.kernels.fp8.triton import quantize_adapters

            sides = self.lora_b, self.scale, columns, self.lora_a, self.transposed_scale, backward_columns
            self._rescale, self._backward_rescale = quantize_adapters(*sides)
        else:
            self._rescale = quantize_with_residual(self.lora_b, self.scale, columns)
            self._backward_rescale = quantize_with_residual(self.lora_a.T, self.transposed_scale, backward_columns)


def _with_extra_columns(weight: Tensor, columns: int) -> Tensor:
    """The weight as the left part of a tensor with so many columns more, all zero."""
    if not columns:
        return weight
    result = torch.zeros(len(weight), weight.shape[1] + columns, dtype=torch.uint8, device=weight.device)
    result[:, : weight.shape[1]] = weight.view(torch.uint8)
    return result.view(weight.dtype)
