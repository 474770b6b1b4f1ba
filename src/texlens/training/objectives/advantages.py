"""Advantages of answers from the rewards of their groups.

# G = groups, K = answers of a group
"""

import torch
from torch import Tensor

SMALLEST = 1e-4
"""Added to a deviation, as in GRPO's code."""
FLAT = 1e-8
"""A group whose rewards are no further apart has no spread."""


def advantages(rewards_GK: Tensor, kind: str, deviation: float | None = None) -> Tensor:
    """The reward minus its group's mean, over a deviation.

    Args:
        kind: `group`: over the group's own deviation (GRPO, arXiv:2402.03300, section 4.1.2); `batch`: over `deviation`
            of all answers of the step; `mean`: over nothing (Dr. GRPO, arXiv:2503.20783).

    Example:
        [[1, 0, 0, 1]] -> group [[0.866, -0.866, -0.866, 0.866]], mean [[0.5, -0.5, -0.5, 0.5]]
    """
    centered_GK = rewards_GK - rewards_GK.mean(1, keepdim=True)
    if kind == "mean":
        return centered_GK
    if kind == "batch":
        return centered_GK / ((deviation or 0.0) + SMALLEST)
    return centered_GK / (rewards_GK.std(1, keepdim=True) + SMALLEST)


def has_spread(rewards_GK: Tensor) -> Tensor:
    """Whether the answers of each group [G] differ in reward."""
    return rewards_GK.amax(1) - rewards_GK.amin(1) > FLAT


def deviation_of(count: float, total: float, squares: float) -> float:
    """The sample deviation from the sums of numbers and of their squares."""
    if count < 2:
        return 0.0
    return max(0.0, (squares - total * total / count) / (count - 1)) ** 0.5


def sums_of(rewards_GK: Tensor) -> Tensor:
    """Count, sum and sum of squares [3] in float64, to be added over processes."""
    values = rewards_GK.double().flatten()
    return torch.stack([torch.tensor(float(len(values)), dtype=torch.float64), values.sum(), values.square().sum()])
