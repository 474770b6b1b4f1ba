"""DoRA over a fused product: each output is scaled to the length that training gives its row of the weight.

    y = g * (x @ (W + s B A).T) + bias,   g = m / ||W + s B A||   (row by row; no gradient through the norm)
    ||W + s B A||^2 = ||W||^2 + 2 s <B, W A.T> + s^2 <B A A.T, B>

so that the update B A is never materialized. DoRA: Liu et al. 2024, arXiv:2402.09353, equations 5 and 11.

# T = tokens, D = width in, N = width out, R = adapter ranks side by side, padded
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from texlens.kernels.dora.api import dora_kernels
from texlens.kernels.lora_linear.augmented import AugmentedLinear
from texlens.kernels.lora_linear.fused_linear import FusedLinearBase
from texlens.kernels.lora_linear.states import DoraGrads, DoraState

ROWS = 4096
"""Rows of a weight whose squares are summed at a time."""


class DoraLinear(FusedLinearBase):
    """
    Args:
        product: without a bias and without dropout.
        magnitudes: of the stacked layers, in order; together [N].
        in_place: whether its result is saved in any case, so that nobody writes to it, and its gradient is read by
            nobody else. Then both are scaled in place, and without a bias nothing is saved besides: the gradient of m
            is that of g divided by m, so that an m of exactly 0 is not trained.
    """

    is_plain = is_ungated = False  # pyrefly: ignore[bad-override]

    def __init__(
        self,
        product: AugmentedLinear,
        magnitudes: tuple[Tensor, ...],
        bias: Tensor | None,
        *,
        in_place: bool = False,
    ):
        super().__init__(product.height, product.width, bias, product.adapters)
        self.product, self.magnitudes, self.in_place = product, magnitudes, in_place
        self._squares: Tensor | None = None
        self._norm: Tensor | None = None
        self._scale: Tensor | None = None
        self._magnitude: Tensor | None = None

    @property
    def saves_scaled(self) -> bool:
        return self.in_place and self.bias is None

    @property
    def extra_columns(self) -> int:
        return self.product.extra_columns

    @property
    def grad_columns(self) -> int:
        return self.extra_columns

    def forward(self, x: Tensor) -> tuple[Tensor, Any]:
        unscaled, state = self.product.forward(x)
        _, scale = self._norm_and_scale()
        y = unscaled if self.saves_scaled else torch.empty_like(unscaled)
        y = dora_kernels(y).scale_columns(unscaled, scale, self.bias, y)
        return y, DoraState(state, unscaled)

    def backward_rows(self, grad: Tensor, lora_a_out: Any) -> tuple[Any, Tensor | None, Any]:
        scaled, magnitude = self._scaled_grad(grad, lora_a_out)
        rows, grad_lora_a_out, grad_lora_b = self.product.backward_rows(scaled, lora_a_out.lora)
        return rows, grad_lora_a_out, DoraGrads(grad_lora_b, magnitude)

    def grad_input(self, rows: Any) -> Tensor:
        return self.product.grad_input(rows)

    def lora_b_grads(
        self, grad: Tensor, lora_a_out: Any, extra_columns: Tensor | None = None
    ) -> tuple[Tensor | None, Any]:
        scaled, magnitude = self._scaled_grad(grad, lora_a_out)
        grad_lora_a_out, lora_b = self.product.lora_b_grads(scaled[:, : self.height], lora_a_out.lora, extra_columns)
        return grad_lora_a_out, DoraGrads(lora_b, magnitude)

    def _scaled_grad(self, grad: Tensor, state: DoraState) -> tuple[Tensor, Tensor]:
        """The gradient before scaling, [T, N + extra columns], and that of the magnitudes."""
        norm, scale = self._norm_and_scale()
        assert self._magnitude is not None
        left = grad[:, : self.height]
        scaled = grad if self.in_place else grad.new_empty(len(grad), self.height + self.extra_columns)
        sums = dora_kernels(grad).scale_grad(left, state.result, scale, scaled[:, : self.height])
        divisor = self._magnitude.where(self._magnitude != 0, 1) if self.saves_scaled else norm
        return scaled, sums / divisor

    def lora_a_grad(self, grad_lora_a_out: Tensor | None, x: Tensor) -> Tensor | None:
        return self.product.lora_a_grad(grad_lora_a_out, x)

    def trained(self) -> tuple[Tensor, ...]:
        return self.product.trained() + self.magnitudes

    def parameter_grads(self, lora_a: Tensor | None, lora_b: Any) -> list[Tensor]:
        grads, start = self.product.parameter_grads(lora_a, lora_b.lora_b), 0
        for magnitude in self.magnitudes:
            grads.append(lora_b.magnitude[start : start + len(magnitude)].to(magnitude.dtype))
            start += len(magnitude)
        return grads

    def invalidate(self) -> None:
        self.product.invalidate()
        self._norm = self._scale = self._magnitude = None

    def _norm_and_scale(self) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
        """The norm of each row of the adapted weight, and the scale, in float32 at least."""
        if self._norm is None or self._scale is None or self.take_changes():
            self._norm = self._row_norms()
            self._magnitude = torch.cat([part.detach() for part in self.magnitudes]).to(self._norm.dtype)
            self._scale = self._magnitude / self._norm
        return self._norm, self._scale

    @torch.no_grad()
    def _row_norms(self) -> Float[Tensor, " N"]:
        augmented = self.product.augmented_weight()
        float_dtype = torch.promote_types(augmented.dtype, torch.float32)
        weight, lora_b = augmented[: self.height, : self.width], augmented[: self.height, self.width :].to(float_dtype)
        lora_a = augmented[self.height :, : self.width]
        if self._squares is None:
            self._squares = torch.cat([part.to(float_dtype).square().sum(1) for part in weight.split(ROWS)])
        cross = (torch.mm(weight, lora_a.T).to(float_dtype) * lora_b).sum(1)
        gram = torch.mm(lora_a.to(float_dtype), lora_a.to(float_dtype).T)
        update = (torch.mm(lora_b, gram) * lora_b).sum(1)
        return (self._squares + 2 * cross + update).clamp(min=0).sqrt().clamp(min=torch.finfo(float_dtype).tiny)
