"""The expert beside a mixture that every token passes, weighed by a gate of its own, with an explicit backward pass.

    y_t = s_t down(silu(gate(n_t)) * up(n_t)),   s_t = sigmoid(n_t . w)

The gradient of s_t is <grad_t, down(act_t)> = <down.T grad_t, act_t>, so that the output is not saved.

# T = tokens, D = width, F = width of the expert
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from texlens.kernels.decoder_layer.attention_half import with_extra_columns
from texlens.kernels.elementwise.backend import ElementwiseKernels
from texlens.kernels.lora_linear.fused_linear import FusedLinear
from texlens.kernels.lora_linear.states import LoraState


class SharedSaved(NamedTuple):
    """Saved for the backward pass: s [T, 1], gate and up [T, 2F] unless they are recomputed, the LoRA A outputs."""

    share: Tensor
    gate_up: Tensor | None
    lora_a_out: LoraState | None
    lora_a_out_down: LoraState | None = None


@dataclass(frozen=True)
class SharedExpertLayer:
    """
    Args:
        share: w, [1, D], frozen.
    """

    gate_up: FusedLinear
    down: FusedLinear
    share: Tensor

    def first_product(self, normed: Tensor) -> SharedSaved:
        """From the input n [T, D] to gate and up."""
        x = with_extra_columns(normed, self.gate_up.extra_columns)
        return SharedSaved((normed @ self.share.T).sigmoid(), *self.gate_up.forward(x))

    def add_output(
        self, kernels: ElementwiseKernels, saved: SharedSaved, residual: Tensor
    ) -> tuple[Tensor, LoraState | None]:
        """residual + y [T, D], and the LoRA A output of the down product."""
        assert saved.gate_up is not None
        y, lora_a_out_down = self.down.forward_of_swiglu(kernels, saved.gate_up)
        return torch.addcmul(residual, y, saved.share), lora_a_out_down

    def backward(
        self, kernels: ElementwiseKernels, grad: Tensor, normed: Tensor, saved: SharedSaved
    ) -> tuple[Tensor, list[Tensor]]:
        """The gradient of n [T, D] from that of y [T, D], and those of the adapters."""
        if saved.gate_up is None:
            saved = self.first_product(normed)._replace(lora_a_out_down=saved.lora_a_out_down)
        share, gate_up, lora_a_out, lora_a_out_down = saved
        assert gate_up is not None
        weighted = with_extra_columns(grad * share, self.down.extra_columns)
        dact, grad_lora_a_out_down, grad_lora_b_down = self.down.backward(weighted, lora_a_out_down)
        dgate_up, act = kernels.swiglu_backward(dact, gate_up, self.gate_up.extra_columns)
        grad_lora_a_down = self.down.lora_a_grad(grad_lora_a_out_down, act)
        grads_down = self.down.parameter_grads(grad_lora_a_down, grad_lora_b_down)
        of_share = (dact[:, : act.shape[1]] * act).sum(-1, keepdim=True, dtype=_float(act)) * (1 - share)
        dnormed, grad_lora_a_out, grad_lora_b = self.gate_up.backward(dgate_up, lora_a_out)
        grad_lora_a = self.gate_up.lora_a_grad(grad_lora_a_out, normed)
        dnormed = torch.addcmul(dnormed[:, : normed.shape[1]], of_share.to(normed.dtype), self.share)
        return dnormed, [*self.gate_up.parameter_grads(grad_lora_a, grad_lora_b), *grads_down]


def _float(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)
