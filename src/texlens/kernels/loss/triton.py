"""The loss of some label rows and its gradient, written over their logits, which are read twice and written once.

The reference is `loss.reference.chunk_loss_reference`; the results differ by rounding alone. The running maximum and
sum are Milakov and Gimelshein's (arXiv:1805.02867).

# L = label rows, V = vocabulary
"""

import torch
import triton
import triton.language as tl
from jaxtyping import Float, Int
from torch import Tensor

_COLUMNS, _WARPS = 8192, 16


def chunk_loss(
    logits_LV: Float[Tensor, "L V"], labels_L: Int[Tensor, " L"], needs_grad: bool
) -> tuple[Float[Tensor, ""], Float[Tensor, "L V"]]:
    """Summed loss of the rows in float32, and their logits, overwritten by the gradient if `needs_grad`.

    Rows labeled -100 have neither loss nor gradient.
    """
    assert logits_LV.stride(1) == 1
    losses = torch.empty(len(logits_LV), device=logits_LV.device, dtype=torch.float32)
    chunk_loss_kernel[(len(logits_LV),)](
        logits_LV,
        labels_L,
        losses,
        logits_LV.stride(0),
        logits_LV.shape[1],
        NEEDS_GRAD=needs_grad,
        BLOCK=min(_COLUMNS, triton.next_power_of_2(logits_LV.shape[1])),
        num_warps=_WARPS,
    )
    return losses.sum(), logits_LV


@triton.jit
def chunk_loss_kernel(logits, labels, losses, stride, vocabulary, NEEDS_GRAD: tl.constexpr, BLOCK: tl.constexpr):
    """The logit of the label is read before the first reduction; writes come after it."""
    row_index = tl.program_id(0).to(tl.int64)
    row = logits + row_index * stride
    label = tl.load(labels + row_index)
    is_label = label >= 0
    label_logit = tl.load(row + tl.where(is_label, label, 0)).to(tl.float32)
    columns = tl.arange(0, BLOCK)
    peak, sums = float("-inf"), tl.zeros([BLOCK], tl.float32)
    for start in range(0, vocabulary, BLOCK):
        values = tl.load(row + start + columns, start + columns < vocabulary, other=float("-inf")).to(tl.float32)
        new_peak = tl.maximum(peak, tl.max(values, 0))
        sums = sums * tl.exp(peak - new_peak) + tl.exp(values - new_peak)
        peak = new_peak
    peak += tl.log(tl.sum(sums, 0))
    tl.store(losses + row_index, tl.where(is_label, peak - label_logit, 0.0))
    if NEEDS_GRAD:
        for start in range(0, vocabulary, BLOCK):
            column = start + columns
            logit = tl.load(row + column, column < vocabulary, other=float("-inf"))
            grad = tl.exp(logit.to(tl.float32) - peak) - tl.where(column == label, 1.0, 0.0)
            tl.store(row + column, tl.where(is_label, grad, 0.0).to(logit.dtype), column < vocabulary)
