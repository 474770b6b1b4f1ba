"""Log-probabilities of labels and entropies from one reading of the logits, and the gradient written over them.

The reference is `log_probabilities.ReferenceKernels`; the results differ by rounding alone. The running maximum and sum
are Milakov and Gimelshein's (arXiv:1805.02867); the entropy's sum is carried along with them:

    S = sum exp(z - m),  W = sum exp(z - m) (z - m),  entropy = log S - W / S

# L = label rows, V = vocabulary
"""

import torch
import triton
import triton.language as tl
from jaxtyping import Float, Int
from torch import Tensor

_COLUMNS, _WARPS = 8192, 16


class TritonKernels:
    """See `ScoreKernels`."""

    work = 1

    def forward(
        self, logits_LV: Float[Tensor, "L V"], labels_L: Int[Tensor, " L"], temperature: float
    ) -> tuple[Float[Tensor, " L"], Float[Tensor, " L"], Float[Tensor, " L"]]:
        assert logits_LV.stride(1) == 1
        results_3L = torch.empty(3, len(logits_LV), device=logits_LV.device, dtype=torch.float32)
        scores_kernel[(len(logits_LV),)](
            logits_LV,
            labels_L,
            *results_3L,
            logits_LV.stride(0),
            logits_LV.shape[1],
            1 / temperature,
            BLOCK=_block(logits_LV),
            num_warps=_WARPS,
        )
        chosen_L, entropies_L, log_sums_L = results_3L
        return chosen_L, entropies_L, log_sums_L

    def backward(
        self,
        logits_LV: Float[Tensor, "L V"],
        labels_L: Int[Tensor, " L"],
        log_sums_L: Float[Tensor, " L"],
        grad_L: Float[Tensor, " L"],
        temperature: float,
    ) -> Float[Tensor, "L V"]:
        assert logits_LV.stride(1) == 1
        blocks = triton.cdiv(logits_LV.shape[1], _block(logits_LV))
        scores_backward_kernel[(len(logits_LV), blocks)](
            logits_LV,
            labels_L,
            log_sums_L.contiguous(),
            grad_L.contiguous(),
            logits_LV.stride(0),
            logits_LV.shape[1],
            1 / temperature,
            BLOCK=_block(logits_LV),
            num_warps=_WARPS,
        )
        return logits_LV


def _block(logits_LV: Tensor) -> int:
    return min(_COLUMNS, triton.next_power_of_2(logits_LV.shape[1]))


@triton.jit
def scores_kernel(
    logits, labels, chosen, entropies, log_sums, stride, vocabulary, inverse_temperature, BLOCK: tl.constexpr
):
    """One program a row. The first maximum is finite, so that no sum meets Inf - Inf."""
    row_index = tl.program_id(0).to(tl.int64)
    row = logits + row_index * stride
    label = tl.load(labels + row_index)
    is_label = label >= 0
    label_logit = tl.load(row + tl.where(is_label, label, 0)).to(tl.float32) * inverse_temperature
    columns = tl.arange(0, BLOCK)
    peak = -1e30
    sums, weighted = tl.zeros([BLOCK], tl.float32), tl.zeros([BLOCK], tl.float32)
    for start in range(0, vocabulary, BLOCK):
        inside = start + columns < vocabulary
        values = tl.load(row + start + columns, inside, other=-1e30).to(tl.float32) * inverse_temperature
        new_peak = tl.maximum(peak, tl.max(values, 0))
        decay = tl.exp(peak - new_peak)
        parts = tl.where(inside, tl.exp(values - new_peak), 0.0)
        weighted = decay * (weighted + sums * (peak - new_peak)) + parts * (values - new_peak)
        sums = sums * decay + parts
        peak = new_peak
    total = tl.sum(sums, 0)
    log_total = tl.log(total)
    tl.store(log_sums + row_index, peak + log_total)
    tl.store(chosen + row_index, tl.where(is_label, label_logit - (peak + log_total), 0.0))
    tl.store(entropies + row_index, tl.where(is_label, log_total - tl.sum(weighted, 0) / total, 0.0))


@triton.jit
def scores_backward_kernel(
    logits, labels, log_sums, grads, stride, vocabulary, inverse_temperature, BLOCK: tl.constexpr
):
    """One program a row and block of columns; the gradient is written over the logits."""
    row_index = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = column < vocabulary
    target = logits + row_index * stride + column
    label = tl.load(labels + row_index)
    weight = tl.load(grads + row_index) * inverse_temperature
    logit = tl.load(target, inside, other=0.0)
    share = tl.exp(logit.to(tl.float32) * inverse_temperature - tl.load(log_sums + row_index))
    grad = weight * (tl.where(column == label, 1.0, 0.0) - share)
    tl.store(target, tl.where(label >= 0, grad, 0.0).to(logit.dtype), inside)
