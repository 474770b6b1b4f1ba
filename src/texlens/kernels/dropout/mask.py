"""The dropout mask of LoRA inputs: a function of (seed, product, row, column), so that it is never stored.

    keep = draw(seed, product, row, column) >= round(32768 p),   kept values are divided by 1 - round(32768 p) / 32768

Two columns share a 32-bit hash and take 15 bits of it each, so that both are compared by one addition, which carries
into the bit above. A hash is multiplied and folded twice, high half of the 64-bit product onto low half (as in wyhash,
Wang Yi, public domain), keyed by a hash of the row and the seed. The mask is PEFT's in distribution; `RowsMask` makes
PEFT's modules use the same one.

# T = tokens, D = width
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

LEVELS = 1 << 15
_MASK = 0xFFFFFFFF
ROW_FACTORS = 0x9E3779B1, 0x85EBCA77
PAIR_FACTORS = 0xC2B2AE3D, 0xE7037ED1


@dataclass
class DropoutSeed:
    """The seed of the current pack, shared by all products of a model; None turns dropout off.

    Args:
        value: int64 [1] on the model's device.
    """

    value: Tensor | None = field(default=None)

    def draw(self, device: torch.device) -> None:
        """A new seed from torch's generator of the device, which training checkpoints save."""
        self.value = torch.randint(0, 1 << 62, (1,), device=device)

    @contextmanager
    def replaced_by(self, value: Tensor | None) -> Iterator[None]:
        """The seed of an earlier forward pass, while its backward pass runs."""
        current, self.value = self.value, value
        try:
            yield
        finally:
            self.value = current


@dataclass(frozen=True)
class LoraDropout:
    """Dropout in front of the LoRA A of one product.

    Args:
        probability: of a value to be dropped.
        product: number of the product in the model, so that masks differ.
    """

    probability: float
    product: int
    seed: DropoutSeed

    @property
    def is_active(self) -> bool:
        return self.probability > 0 and self.seed.value is not None

    @property
    def threshold(self) -> int:
        return min(round(LEVELS * self.probability), LEVELS - 1)

    @property
    def scale(self) -> float:
        return LEVELS / (LEVELS - self.threshold)

    def mask(self, tokens: int, width: int, dtype: torch.dtype) -> Float[Tensor, "T D"]:
        """0 for dropped values, `scale` for kept ones: the reference of the kernels."""
        seed = self.seed.value
        assert seed is not None
        low, high = seed & _MASK, (seed >> 32) & _MASK
        row, column = (torch.arange(size, device=seed.device) for size in (tokens, width))
        key = _fold(_fold(row ^ low, ROW_FACTORS[0]) ^ high ^ _product_key(self.product), ROW_FACTORS[1])
        pair = ((column >> 1) * 0x9E3779B9) & _MASK
        bits = _fold(_fold(pair[None] ^ key[:, None], PAIR_FACTORS[0]), PAIR_FACTORS[1])
        draws = (bits >> (16 * (column & 1))[None]) & (LEVELS - 1)
        return (draws >= self.threshold).to(dtype) * self.scale


class RowsMask(nn.Module):
    """In place of a PEFT layer's `nn.Dropout`: multiplies rows [T, D] by the mask of a fused product."""

    def __init__(self, dropout: LoraDropout):
        super().__init__()
        self.dropout, self.p = dropout, dropout.probability

    def forward(self, x: Tensor) -> Tensor:
        if not self.dropout.is_active:
            return x
        rows = x.flatten(0, -2)
        return (rows * self.dropout.mask(len(rows), rows.shape[1], x.dtype)).view_as(x)


def _product_key(product: int) -> int:
    return (product * 0x85EBCA6B) & _MASK


def _fold(x: Tensor, factor: int) -> Tensor:
    """High half of the 64-bit product with a 32-bit value, held in int64, onto the low half."""
    product = x * factor
    return ((product >> 32) & _MASK) ^ (product & _MASK)
