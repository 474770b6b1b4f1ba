"""The loss of some label rows and its slope, written over their logits: two readings and one writing of them.

The twin is `loss.chunk_loss_plainly`; the numbers differ by rounding alone. The running maximum and sum are Milakov and
Gimelshein's (arXiv:1805.02867).

# L = label rows, V = vocabulary
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

_COLUMNS, _WARPS = 8192, 16


def chunk_loss(logits_LV: Tensor, labels_L: Tensor, wanted: bool) -> tuple[Tensor, Tensor]:
    """Summed loss of the rows in float32, and their logits, over which the slope stands where it is `wanted`.

    Rows labeled -100 have neither loss nor slope.
    """
    assert logits_LV.stride(1) == 1
    losses = torch.empty(len(logits_LV), device=logits_LV.device, dtype=torch.float32)
    _loss_of_row[(len(logits_LV),)](
        logits_LV,
        labels_L,
        losses,
        logits_LV.stride(0),
        logits_LV.shape[1],
        WANTED=wanted,
        BLOCK=min(_COLUMNS, triton.next_power_of_2(logits_LV.shape[1])),
        num_warps=_WARPS,
    )
    return losses.sum(), logits_LV


@triton.jit
def _loss_of_row(logits, labels, losses, stride, vocabulary, WANTED: tl.constexpr, BLOCK: tl.constexpr):
    """The label's logit is read before the first reduction, after which alone anything is written."""
    number = tl.program_id(0).to(tl.int64)
    row = logits + number * stride
    label = tl.load(labels + number)
    counts = label >= 0
    said = tl.load(row + tl.where(counts, label, 0)).to(tl.float32)
    columns = tl.arange(0, BLOCK)
    peak, sums = float("-inf"), tl.zeros([BLOCK], tl.float32)
    for start in range(0, vocabulary, BLOCK):
        values = tl.load(row + start + columns, start + columns < vocabulary, other=float("-inf")).to(tl.float32)
        higher = tl.maximum(peak, tl.max(values, 0))
        sums = sums * tl.exp(peak - higher) + tl.exp(values - higher)
        peak = higher
    peak += tl.log(tl.sum(sums, 0))
    tl.store(losses + number, tl.where(counts, peak - said, 0.0))
    if WANTED:
        for start in range(0, vocabulary, BLOCK):
            place = start + columns
            again = tl.load(row + place, place < vocabulary, other=float("-inf"))
            slope = tl.exp(again.to(tl.float32) - peak) - tl.where(place == label, 1.0, 0.0)
            tl.store(row + place, tl.where(counts, slope, 0.0).to(again.dtype), place < vocabulary)
