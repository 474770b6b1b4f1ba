"""Rounding weights to 4-bit codes so that the layer's outputs change least on the inputs that it sees.

All three choose codes -8..7 and a scale for each group of inputs. What a layer sees is told by its second moments
`H = sum of x x^T` over calibration tokens; the loss of rounding W to Q is then trace((W - Q) H (W - Q)^T).

Legend: N = outputs, I = inputs, G = groups of inputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

LOWEST, HIGHEST = -8, 7
CLIPS = (1.0, 0.95, 0.9, 0.85, 0.8)
"""Shares of a group's largest weight that its scale may reach to; the one with the least squared error is taken."""
DAMPING = 0.01
POWERS = tuple(step / 20 for step in range(20))


@dataclass(frozen=True)
class Rounded:
    """`codes` int8 [N, I] and `scales` float32 [N, G]."""

    codes: Tensor
    scales: Tensor

    @property
    def weight(self) -> Tensor:
        """What a loader makes of it, float32 [N, I]."""
        group = self.codes.shape[1] // self.scales.shape[1]
        return self.codes.float() * self.scales.repeat_interleave(group, 1)


def round_nearest(weight: Tensor, group: int, like: torch.dtype = torch.float32) -> Rounded:
    """Every weight to its nearest code. `like` is the type in which the scales will be stored."""
    parts = [weight[:, start : start + group].float() for start in range(0, weight.shape[1], group)]
    scales = torch.cat([_scale(part, like) for part in parts], 1)
    codes = torch.cat([_codes(part, scales[:, [at]]) for at, part in enumerate(parts)], 1)
    return Rounded(codes.to(torch.int8), scales)


def round_gptq(weight: Tensor, moments: Tensor, group: int, like: torch.dtype = torch.float32) -> Rounded:
    """Column by column, each column's error made good by the columns still to come (Frantar et al. 2022,
    arXiv:2210.17323, algorithm 1, without reordering)."""
    left = weight.float().clone()
    moments = moments.clone().double()
    dead = moments.diagonal() == 0
    moments.diagonal()[dead] = 1
    left[:, dead] = 0
    moments.diagonal().add_(DAMPING * moments.diagonal().mean())
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(moments))
    steps = torch.linalg.cholesky(inverse, upper=True).float()
    codes, scales = [], []
    for start in range(0, weight.shape[1], group):
        stop = start + group
        scale = _scale(left[:, start:stop], like)
        errors = torch.zeros_like(left[:, start:stop])
        for at in range(start, stop):
            code = _codes(left[:, [at]], scale)
            error = (left[:, at] - (code * scale)[:, 0]) / steps[at, at]
            left[:, at:stop] -= error[:, None] * steps[at, at:stop]
            errors[:, at - start] = error
            codes.append(code)
        left[:, stop:] -= errors @ steps[start:stop, stop:]
        scales.append(scale)
    return Rounded(torch.cat(codes, 1).to(torch.int8), torch.cat(scales, 1))


def awq_scales(
    weights: Sequence[Tensor], moments: Tensor, mean_inputs: Tensor, group: int, like: torch.dtype = torch.float32
) -> Tensor:
    """Factors [I] to multiply the weights' columns by, and to divide their common inputs by, before rounding to the
    nearest: the mean size of each input to the power, of 0 to 0.95, that costs the layers least (Lin et al. 2023,
    arXiv:2306.00978, section 3.2)."""
    best, least = torch.ones_like(mean_inputs), float("inf")
    for power in POWERS:
        factors = mean_inputs.clamp(min=1e-4).pow(power)
        factors = (factors / (factors.max() * factors.min()).sqrt()).clamp(1e-4, 1e4)
        cost = sum(
            rounding_loss(one, round_nearest(one.float() * factors, group, like).weight / factors, moments)
            for one in weights
        )
        if cost < least:
            best, least = factors, cost
    return best


def rounding_loss(weight: Tensor, rounded: Tensor, moments: Tensor) -> float:
    """trace((W - Q) H (W - Q)^T)."""
    error = weight.float() - rounded.float()
    return float(((error @ moments.float()) * error).sum())


def _scale(part: Tensor, like: torch.dtype) -> Tensor:
    """Scale of one group, [N, 1], as it will be when stored."""
    largest = part.abs().amax(1, keepdim=True).clamp(min=1e-6)
    best = torch.zeros_like(largest)
    least = torch.full_like(largest, float("inf"))
    for clip in CLIPS:
        scale = (clip * largest / 7.5).to(like).float().clamp(min=1e-7)
        error = (part - _codes(part, scale) * scale).square().sum(1, keepdim=True)
        best, least = torch.where(error < least, scale, best), torch.minimum(error, least)
    return best


def _codes(part: Tensor, scale: Tensor) -> Tensor:
    return (part / scale).round().clamp(LOWEST, HIGHEST)
