"""The layer norms of stock decoder layers, in the form that fused kernels take: x / rms(x) * weight."""

from typing import Any, NamedTuple

from torch import Tensor

from texlens.models.families import family_of_text


class RmsNorm(NamedTuple):
    weight: Tensor
    eps: float


def rms_norm_of(norm: Any, text_config: Any) -> RmsNorm:
    """Where the family's norms multiply by 1 + weight, that sum as a new float32 tensor: of a frozen norm alone."""
    eps = getattr(norm, "variance_epsilon", None) or norm.eps
    if family_of_text(text_config).zero_centered_norms:
        return RmsNorm(norm.weight.detach().float() + 1, eps)
    return RmsNorm(norm.weight, eps)
