"""Cross-entropy over label rows alone, in chunks, without keeping logits.

# L = label rows, V = vocabulary, D = width
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from texlens.kernels.backends import Registry
from texlens.kernels.loss.reference import chunk_loss_reference, label_row_loss_reference

CHUNK = 2048
"""Rows of logits that exist at a time: 2,048 x 151,936 in 16 bits are 0.6 GB."""
ChunkLoss = Callable[[Tensor, Tensor, bool], tuple[Tensor, Tensor]]
"""From logits [L, V], labels [L] and whether gradients are needed: the summed loss, and the gradient of the logits,
which may be written over them."""


def _reference() -> ChunkLoss:
    return chunk_loss_reference


def _triton() -> ChunkLoss:
    from texlens.kernels.loss.triton import chunk_loss

    return chunk_loss


BACKENDS: Registry[ChunkLoss] = Registry(reference=_reference, cpu=_reference, triton=_triton)
"""By the name of the fused layers' backend."""


def label_row_loss(
    hidden_LD: Float[Tensor, "L D"],
    head_VD: Float[Tensor, "V D"],
    labels_L: Int[Tensor, " L"],
    *,
    chunk: int = CHUNK,
    chunk_loss: ChunkLoss = chunk_loss_reference,
) -> Float[Tensor, ""]:
    """Summed cross-entropy in nats of the float32 softmax of `hidden @ head.T`; rows labeled -100 are ignored.

    The gradient of `hidden` is computed in the forward pass, chunk by chunk, and only scaled in the backward pass. A
    trained head goes through autograd (`label_row_loss_reference`), which keeps the logits.

    Args:
        chunk_loss: one of `BACKENDS`.
    """
    if head_VD.requires_grad:
        return label_row_loss_reference(hidden_LD, head_VD, labels_L)
    return _LabelRowLoss.apply(hidden_LD, head_VD, labels_L, chunk, chunk_loss)


class _LabelRowLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx, hidden_LD, head_VD, labels_L, chunk, chunk_loss):
        total = torch.zeros((), device=hidden_LD.device, dtype=torch.float32)
        needs_grad = ctx.needs_input_grad[0]
        gradient = torch.empty_like(hidden_LD) if needs_grad else None
        for start in range(0, len(hidden_LD), chunk):
            rows = slice(start, start + chunk)
            loss, grad_logits = chunk_loss(functional.linear(hidden_LD[rows], head_VD), labels_L[rows], needs_grad)
            total += loss
            if gradient is not None:
                torch.mm(grad_logits, head_VD, out=gradient[rows])
            del grad_logits
        ctx.gradient = gradient
        return total

    @staticmethod
    def backward(ctx, grad):  # pyrefly: ignore[bad-override]
        gradient, ctx.gradient = ctx.gradient, None
        return gradient.mul_(grad.to(gradient.dtype)), None, None, None, None
