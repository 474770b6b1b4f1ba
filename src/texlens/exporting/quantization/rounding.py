"""Rounding weights to 4-bit codes so that the layer's outputs change least on the inputs that it receives.

All methods choose codes -8 to 7 and a scale for each group of inputs. The inputs are described by their second moments
`H = sum of x x^T` over calibration tokens; the loss of rounding W to Q is trace((W - Q) H (W - Q)^T).

Legend: N = outputs, I = inputs, G = groups of inputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

MIN_CODE, MAX_CODE = -8, 7
CLIPS = (1.0, 0.95, 0.9, 0.85, 0.8)
"""Fractions of a group's largest weight that its scale may cover; the one with the least squared error is used."""
DAMPING = 0.01
POWERS = tuple(step / 20 for step in range(20))


@dataclass(frozen=True)
class RoundedWeight:
    """`codes` int8 [N, I] and `scales` float32 [N, G]."""

    codes: Tensor
    scales: Tensor

    @property
    def weight(self) -> Tensor:
        """The weight that a loader computes, float32 [N, I]."""
        group_size = self.codes.shape[1] // self.scales.shape[1]
        return self.codes.float() * self.scales.repeat_interleave(group_size, 1)


def round_nearest(weight: Tensor, group_size: int, scale_dtype: torch.dtype = torch.float32) -> RoundedWeight:
    """Every weight to its nearest code. `scale_dtype` is the type in which the scales will be stored."""
    groups = [weight[:, start : start + group_size].float() for start in range(0, weight.shape[1], group_size)]
    scales = torch.cat([_scale(group, scale_dtype) for group in groups], 1)
    codes = torch.cat([_codes(group, scales[:, [index]]) for index, group in enumerate(groups)], 1)
    return RoundedWeight(codes.to(torch.int8), scales)


def round_gptq(
    weight: Tensor, moments: Tensor, group_size: int, scale_dtype: torch.dtype = torch.float32
) -> RoundedWeight:
    """Column by column, the error of each column compensated by later columns (Frantar et al. 2022, arXiv:2210.17323,
    algorithm 1, without reordering)."""
    remaining = weight.float().clone()
    moments = moments.clone().double()
    unused = moments.diagonal() == 0
    moments.diagonal()[unused] = 1
    remaining[:, unused] = 0
    moments.diagonal().add_(DAMPING * moments.diagonal().mean())
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(moments))
    factor = torch.linalg.cholesky(inverse, upper=True).float()
    codes, scales = [], []
    for start in range(0, weight.shape[1], group_size):
        stop = start + group_size
        scale = _scale(remaining[:, start:stop], scale_dtype)
        errors = torch.zeros_like(remaining[:, start:stop])
        for column in range(start, stop):
            code = _codes(remaining[:, [column]], scale)
            error = (remaining[:, column] - (code * scale)[:, 0]) / factor[column, column]
            remaining[:, column:stop] -= error[:, None] * factor[column, column:stop]
            errors[:, column - start] = error
            codes.append(code)
        remaining[:, stop:] -= errors @ factor[start:stop, stop:]
        scales.append(scale)
    return RoundedWeight(torch.cat(codes, 1).to(torch.int8), torch.cat(scales, 1))


def awq_scales(
    weights: Sequence[Tensor],
    moments: Tensor,
    mean_inputs: Tensor,
    group_size: int,
    scale_dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Factors [I] by which to multiply the weights' columns and divide their common inputs before rounding to nearest.

    They are the mean absolute value of each input to the power, of 0 to 0.95, with the least rounding loss (Lin et al.
    2023, arXiv:2306.00978, section 3.2).
    """
    best, least_loss = torch.ones_like(mean_inputs), float("inf")
    for power in POWERS:
        factors = mean_inputs.clamp(min=1e-4).pow(power)
        factors = (factors / (factors.max() * factors.min()).sqrt()).clamp(1e-4, 1e4)
        loss = sum(
            rounding_loss(
                weight, round_nearest(weight.float() * factors, group_size, scale_dtype).weight / factors, moments
            )
            for weight in weights
        )
        if loss < least_loss:
            best, least_loss = factors, loss
    return best


def rounding_loss(weight: Tensor, rounded: Tensor, moments: Tensor) -> float:
    """trace((W - Q) H (W - Q)^T)."""
    error = weight.float() - rounded.float()
    return float(((error @ moments.float()) * error).sum())


def _scale(group: Tensor, scale_dtype: torch.dtype) -> Tensor:
    """Scale of one group [N, 1] as it will be stored."""
    largest = group.abs().amax(1, keepdim=True).clamp(min=1e-6)
    best = torch.zeros_like(largest)
    least_error = torch.full_like(largest, float("inf"))
    for clip in CLIPS:
        scale = (clip * largest / 7.5).to(scale_dtype).float().clamp(min=1e-7)
        error = (group - _codes(group, scale) * scale).square().sum(1, keepdim=True)
        best, least_error = torch.where(error < least_error, scale, best), torch.minimum(error, least_error)
    return best


def _codes(weight: Tensor, scale: Tensor) -> Tensor:
    return (weight / scale).round().clamp(MIN_CODE, MAX_CODE)
