"""Products of rows sorted by expert with each expert's own matrix, in one launch and without waiting for the host.

# S = rows, E = experts, D = width in, N = width out, R = adapter ranks
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

ALIGNED_BYTES = 16
"""torch's grouped matrix product needs rows that begin at multiples of this."""


def grouped(x: Float[Tensor, "S D"], weight: Float[Tensor, "E N D"], ends: Int[Tensor, " E"]) -> Float[Tensor, "S N"]:
    """Rows up to `ends[0]` times the transpose of the first expert's weight, those up to `ends[1]` the second's, …

    One grouped matrix product where torch has it (bfloat16 on a GPU, rows aligned), else a loop over the experts. Rows
    after the last end are undefined.
    """
    if can_group(x, weight, *weight.shape[-2:]):
        return nn.functional.grouped_mm(x, weight.transpose(-2, -1), offs=ends)
    return grouped_loop(x, weight, ends)


def grouped_loop(x: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
    """Reference of `grouped`: one expert after the other."""
    blocks, start = [], 0
    for expert, end in enumerate(ends.tolist()):
        if end > start:
            blocks.append(x[start:end] @ weight[expert].T)
        start = end
    return torch.cat(blocks) if blocks else x.new_zeros(0, weight.shape[1])


def grouped_sum(
    left: Float[Tensor, "S N"], right: Float[Tensor, "S R"], ends: Int[Tensor, " E"]
) -> Float[Tensor, "E N R"]:
    """left.T @ right of each expert's rows; 0 for experts without a row."""
    if can_group(left, right, left.shape[1], right.shape[1]):
        return nn.functional.grouped_mm(left.T, right, offs=ends)
    return grouped_sum_loop(left, right, ends)


def grouped_sum_loop(left: Tensor, right: Tensor, ends: Tensor) -> Tensor:
    """Reference of `grouped_sum`."""
    sums, start = [], 0
    for end in ends.tolist():
        sums.append(left[start:end].T @ right[start:end])
        start = end
    return torch.stack(sums)


def can_group(left: Tensor, right: Tensor, *widths: int) -> bool:
    """Whether torch has a grouped product of these; `widths` are the lengths of rows."""
    aligned = all(width * left.element_size() % ALIGNED_BYTES == 0 for width in widths)
    same = left.dtype == right.dtype == torch.bfloat16
    capable = left.device.type in ("cuda", "meta")  # on the meta device `texlens plan` runs what a GPU does
    return capable and same and aligned and hasattr(nn.functional, "grouped_mm")
