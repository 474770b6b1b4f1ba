"""Cross-entropy over label tokens, so that accumulating N batches equals one batch N times as large.

# B = samples, L = tokens
"""

import torch
from torch import Tensor
from torch.nn import functional

from texlens.core.labels import IGNORE_INDEX


def label_loss(logits_BLV: Tensor, labels_BL: Tensor, label_count: Tensor | int | None = None) -> Tensor:
    """Summed cross-entropy in nats of every label given the tokens before it, divided by `label_count`.

    `label_count` is the number of labels of the whole optimizer step, all its batches together; None takes this
    batch's own. Without a label the loss is 0. Only rows that have a label go through the softmax.
    """
    shifted_BL = functional.pad(labels_BL[:, 1:], (0, 1), value=IGNORE_INDEX)
    chosen = shifted_BL != IGNORE_INDEX
    total = functional.cross_entropy(logits_BLV[chosen].float(), shifted_BL[chosen], reduction="sum")
    count = torch.as_tensor(chosen.sum() if label_count is None else label_count)
    return total / count.clamp(min=1)


def count_labels(labels_BL: Tensor) -> Tensor:
    """How many labels `label_loss` sums over; the first token of a row has nothing before it."""
    return (labels_BL[:, 1:] != IGNORE_INDEX).sum()


def trainer_loss(outputs, labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
    """`label_loss` in the form that transformers' Trainer calls."""
    return label_loss(outputs.logits, labels, num_items_in_batch)


@torch.no_grad()
def summed_loss(model, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Summed loss and label count of a batch, for means over batches of different sizes."""
    labels = batch["labels"]
    outputs = model(**{name: value for name, value in batch.items() if name != "labels"})
    return label_loss(outputs.logits, labels, 1), count_labels(labels)
