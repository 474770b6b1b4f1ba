"""Frozen parameters that have a shape and take no memory, for weights that are elsewhere or not read yet."""

import torch
from torch import Tensor, nn


def placeholder(
    shape: torch.Size | tuple[int, ...], dtype: torch.dtype, device: torch.device, *, value: float = 0.0
) -> nn.Parameter:
    """A frozen parameter of this shape that takes no memory: one value, repeated."""
    return nn.Parameter(torch.full((), value, dtype=dtype, device=device).expand(*shape), requires_grad=False)


def is_placeholder(parameter: Tensor) -> bool:
    return parameter.ndim > 0 and set(parameter.stride()) == {0}
