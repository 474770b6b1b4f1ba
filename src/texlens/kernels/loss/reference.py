"""Cross-entropy of label rows in PyTorch operations.

# L = label rows, V = vocabulary, D = width
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from texlens.core.labels import IGNORE_INDEX


def label_row_loss_reference(
    hidden_LD: Float[Tensor, "L D"], head_VD: Float[Tensor, "V D"], labels_L: Int[Tensor, " L"]
) -> Float[Tensor, ""]:
    """`chunked.label_row_loss` in two lines, for comparison and for heads that are trained."""
    logits = functional.linear(hidden_LD, head_VD).float()
    return functional.cross_entropy(logits, labels_L, ignore_index=IGNORE_INDEX, reduction="sum")


def chunk_loss_reference(
    logits: Float[Tensor, "L V"], labels: Int[Tensor, " L"], needs_grad: bool
) -> tuple[Float[Tensor, ""], Float[Tensor, "L V"]]:
    """Summed loss of some rows, and its gradient in the memory and dtype of the logits; float32 logits are overwritten.

    Next to the logits this needs one float32 copy of them, none where they are float32 themselves.
    """
    ignored, safe_labels = labels == IGNORE_INDEX, labels.clamp(min=0)[:, None]
    scores = logits.float()
    scores -= scores.amax(-1, keepdim=True)
    label_scores = scores.gather(1, safe_labels)
    total = scores.exp_().sum(-1, keepdim=True)
    loss = (total.log() - label_scores)[:, 0].masked_fill_(ignored, 0).sum()
    if not needs_grad:
        return loss, logits
    scores /= total
    scores.scatter_add_(1, safe_labels, torch.full_like(safe_labels, -1, dtype=scores.dtype))
    return loss, logits.copy_(scores.masked_fill_(ignored[:, None], 0))
