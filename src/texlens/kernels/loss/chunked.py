"""Cross-entropy over label rows alone, in chunks, without keeping logits.

# L = label rows, V = vocabulary, D = width
"""

import importlib
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

CHUNK = 2048
"""Rows of logits that exist at a time: 2,048 x 151,936 in 16 bits are 0.6 GB."""
ChunkLoss = Callable[[Tensor, Tensor, bool], tuple[Tensor, Tensor]]
"""Of logits [L, V], labels [L] and whether the slope is wanted: the summed loss, and the slope by the logits, which may
be written over them."""


def label_row_loss(
    hidden_LD: Tensor, head_VD: Tensor, labels_L: Tensor, *, chunk: int = CHUNK, chunk_loss: ChunkLoss | None = None
) -> Tensor:
    """Summed cross-entropy in nats of float32 softmax over `hidden @ head.T`; labels of -100 count nothing.

    The gradient of `hidden` is made in the forward pass, chunk by chunk, and only scaled in the backward pass. A head
    that is trained itself goes through autograd (`label_row_loss_plainly`), which keeps the logits.

    Args:
        chunk_loss: what `choose_chunk_loss` gives; None is the plain form.
    """
    if head_VD.requires_grad:
        return label_row_loss_plainly(hidden_LD, head_VD, labels_L)
    return _LabelRowLoss.apply(hidden_LD, head_VD, labels_L, chunk, chunk_loss or chunk_loss_plainly)


def choose_chunk_loss(form: str) -> ChunkLoss:
    """One kernel where the fused layers have the form `triton`; else PyTorch's operations."""
    if form == "triton":
        return importlib.import_module("texlens.kernels.loss.triton").chunk_loss
    return chunk_loss_plainly


def label_row_loss_plainly(hidden_LD: Tensor, head_VD: Tensor, labels_L: Tensor) -> Tensor:
    """`label_row_loss` in two lines, for comparison and for heads that are trained."""
    logits = functional.linear(hidden_LD, head_VD).float()
    return functional.cross_entropy(logits, labels_L, ignore_index=-100, reduction="sum")


class _LabelRowLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx, hidden_LD, head_VD, labels_L, chunk, chunk_loss):
        total = torch.zeros((), device=hidden_LD.device, dtype=torch.float32)
        wanted = ctx.needs_input_grad[0]
        gradient = torch.empty_like(hidden_LD) if wanted else None
        for start in range(0, len(hidden_LD), chunk):
            rows = slice(start, start + chunk)
            loss, slope = chunk_loss(functional.linear(hidden_LD[rows], head_VD), labels_L[rows], wanted)
            total += loss
            if gradient is not None:
                torch.mm(slope, head_VD, out=gradient[rows])
            del slope
        ctx.gradient = gradient
        return total

    @staticmethod
    def backward(ctx, slope):  # pyrefly: ignore[bad-override]
        gradient, ctx.gradient = ctx.gradient, None
        return gradient.mul_(slope.to(gradient.dtype)), None, None, None, None


def chunk_loss_plainly(logits: Tensor, labels: Tensor, wanted: bool) -> tuple[Tensor, Tensor]:
    """Summed loss of some rows, and its slope in the place and dtype of the logits; float32 logits are always used up.

    Beside the logits there is one float32 copy of them, none where they are float32 themselves.
    """
    ignored, safe = labels == -100, labels.clamp(min=0)[:, None]
    wide = logits.float()
    wide -= wide.amax(-1, keepdim=True)
    said = wide.gather(1, safe)
    total = wide.exp_().sum(-1, keepdim=True)
    loss = (total.log() - said)[:, 0].masked_fill_(ignored, 0).sum()
    if not wanted:
        return loss, logits
    wide /= total
    wide.scatter_add_(1, safe, torch.full_like(safe, -1, dtype=wide.dtype))
    return loss, logits.copy_(wide.masked_fill_(ignored[:, None], 0))
