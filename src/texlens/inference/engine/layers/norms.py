"""The layer norms of stock decoder layers with a weight that kernels multiply by, read again with the adapters."""

from typing import Any

import torch
from torch import Tensor

from texlens.models.families import family_of_text
from texlens.models.packed.norms import rms_norm_of


class LayerNorm:
    """`weight` keeps its address: it is the stock one, or 1 + that where the family's norms multiply by it."""

    def __init__(self, norm: Any, text_config: Any):
        self._stock: Tensor = norm.weight
        self._zero_centered = family_of_text(text_config).zero_centered_norms
        self.weight, self.eps = rms_norm_of(norm, text_config)

    @torch.no_grad()
    def refresh(self) -> None:
        if self._zero_centered:
            self.weight.copy_(self._stock.float() + 1)
