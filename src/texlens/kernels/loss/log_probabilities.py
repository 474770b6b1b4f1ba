"""Log-probabilities of label rows and entropies of their distributions, in chunks, without keeping logits.

`chunked.label_row_loss` sums them and has its gradient before the loss is known. Objectives that compare answers weigh
each row by what all rows of a pack gave, so the backward pass computes the logits of a chunk again.

# L = label rows, V = vocabulary, D = width
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from texlens.core.labels import IGNORE_INDEX
from texlens.kernels.loss.chunked import CHUNK

WORK = 8
"""The work in float32 takes up to seven times the bytes of 16-bit logits, so this part of a chunk is done at a time, in
the memory that is planned for the chunk's logits."""


class LabelScores(NamedTuple):
    """Of each label row [L], in nats and float32: the label's log-probability and the distribution's entropy, which has
    no gradient. Both are 0 where the label is -100."""

    log_probabilities: Tensor
    entropies: Tensor


def label_scores(
    hidden_LD: Float[Tensor, "L D"],
    head_VD: Float[Tensor, "V D"],
    labels_L: Int[Tensor, " L"],
    *,
    temperature: float = 1.0,
    chunk: int = CHUNK,
) -> LabelScores:
    """Scores under the float32 softmax of `hidden @ head.T / temperature`.

    A trained head goes through autograd (`label_scores_reference`), which keeps the logits.

    Args:
        chunk: label rows whose 16-bit logits there is room for.
    """
    if head_VD.requires_grad:
        return label_scores_reference(functional.linear(hidden_LD, head_VD), labels_L, temperature)
    return LabelScores(*_LabelScores.apply(hidden_LD, head_VD, labels_L, temperature, max(1, chunk // WORK)))


def label_scores_reference(
    logits_LV: Float[Tensor, "L V"], labels_L: Int[Tensor, " L"], temperature: float = 1.0
) -> LabelScores:
    """The same of logits, in PyTorch operations."""
    logs_LV = (logits_LV.float() / temperature).log_softmax(-1)
    ignored_L = labels_L == IGNORE_INDEX
    chosen_L = logs_LV.gather(1, labels_L.clamp(min=0)[:, None])[:, 0].masked_fill(ignored_L, 0)
    with torch.no_grad():
        entropies_L = -(logs_LV.exp() * logs_LV).sum(-1).masked_fill(ignored_L, 0)
    return LabelScores(chosen_L, entropies_L)


class _LabelScores(torch.autograd.Function):
    @staticmethod
    def forward(ctx, hidden_LD, head_VD, labels_L, temperature, chunk):
        chosen_L = torch.zeros(len(hidden_LD), device=hidden_LD.device)
        entropies_L = torch.zeros_like(chosen_L)
        for start in range(0, len(hidden_LD), chunk):
            rows = slice(start, start + chunk)
            logits = functional.linear(hidden_LD[rows], head_VD)
            chosen_L[rows], entropies_L[rows] = label_scores_reference(logits, labels_L[rows], temperature)
        ctx.save_for_backward(hidden_LD, head_VD, labels_L)
        ctx.temperature, ctx.chunk = temperature, chunk
        ctx.mark_non_differentiable(entropies_L)
        return chosen_L, entropies_L

    @staticmethod
    def backward(ctx, grad_L, _):  # pyrefly: ignore[bad-override]
        hidden_LD, head_VD, labels_L = ctx.saved_tensors
        grad_LD = torch.empty_like(hidden_LD)
        weights_L = (grad_L / ctx.temperature).masked_fill(labels_L == IGNORE_INDEX, 0)
        for start in range(0, len(hidden_LD), ctx.chunk):
            rows = slice(start, start + ctx.chunk)
            logits = functional.linear(hidden_LD[rows], head_VD).float()
            grad_logits = logits.div_(ctx.temperature).softmax(-1).neg_()
            index = labels_L[rows].clamp(min=0)[:, None]
            grad_logits.scatter_add_(1, index, torch.ones_like(index, dtype=grad_logits.dtype))
            grad_logits *= weights_L[rows, None]
            grad_LD[rows] = grad_logits.to(head_VD.dtype) @ head_VD
        return grad_LD, None, None, None, None
