"""Cross-entropy over label rows alone, in chunks, without keeping logits.

# L = label rows, V = vocabulary, D = width
"""

import torch
from torch import Tensor
from torch.nn import functional

CHUNK = 2048
"""Rows of logits that exist at a time: 2,048 x 151,936 in float32 are 1.2 GB."""


def label_row_loss(hidden_LD: Tensor, head_VD: Tensor, labels_L: Tensor, *, chunk: int = CHUNK) -> Tensor:
    """Summed cross-entropy in nats of float32 softmax over `hidden @ head.T`; labels of -100 count nothing.

    The gradient of `hidden` is made in the forward pass, chunk by chunk, and only scaled in the backward pass. A head
    that is trained itself goes through autograd (`label_row_loss_plainly`), which keeps the logits.
    """
    if head_VD.requires_grad:
        return label_row_loss_plainly(hidden_LD, head_VD, labels_L)
    return _LabelRowLoss.apply(hidden_LD, head_VD, labels_L, chunk)


def label_row_loss_plainly(hidden_LD: Tensor, head_VD: Tensor, labels_L: Tensor) -> Tensor:
    """`label_row_loss` in two lines, for comparison and for heads that are trained."""
    logits = functional.linear(hidden_LD, head_VD).float()
    return functional.cross_entropy(logits, labels_L, ignore_index=-100, reduction="sum")


class _LabelRowLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx, hidden_LD, head_VD, labels_L, chunk):
        total = torch.zeros((), device=hidden_LD.device, dtype=torch.float32)
        wanted = ctx.needs_input_grad[0]
        gradient = torch.empty_like(hidden_LD) if wanted else None
        for start in range(0, len(hidden_LD), chunk):
            rows = slice(start, start + chunk)
            loss, slope = _chunk_loss(functional.linear(hidden_LD[rows], head_VD), labels_L[rows], wanted)
            total += loss
            if gradient is not None:
                torch.mm(slope, head_VD, out=gradient[rows])
        ctx.gradient = gradient
        return total

    @staticmethod
    def backward(ctx, slope):  # pyrefly: ignore[bad-override]
        gradient, ctx.gradient = ctx.gradient, None
        return gradient.mul_(slope.to(gradient.dtype)), None, None, None


def _chunk_loss(logits: Tensor, labels: Tensor, wanted: bool) -> tuple[Tensor, Tensor]:
    """Summed loss of some rows, and its slope by the logits in their dtype."""
    counts = labels != -100
    safe = labels.clamp(min=0)[:, None]
    wide = logits.float()
    peak = wide.logsumexp(-1, keepdim=True)
    loss = ((peak - wide.gather(1, safe))[:, 0] * counts).sum()
    if not wanted:
        return loss, logits
    slope = (wide - peak).exp_()
    slope.scatter_add_(1, safe, torch.full_like(safe, -1, dtype=slope.dtype))
    return loss, (slope * counts[:, None]).to(logits.dtype)
