"""The frozen tensors of a delta net between its products, and the columns of its first product.

# T = tokens, C = channels of the convolution, W = its width
# K = key heads, H = value heads, X, Y = widths of keys and values
"""

from typing import NamedTuple

from torch import Tensor


class DeltaNetWeights(NamedTuple):
    """Frozen.

    Args:
        kernel: of the convolution, [C, W].
        a_log, dt_bias: [H].
        norm: [Y].
    """

    kernel: Tensor
    a_log: Tensor
    dt_bias: Tensor
    norm: Tensor
    eps: float
    key_heads: int
    key_width: int
    value_heads: int
    value_width: int

    @property
    def keys(self) -> int:
        """Columns of all keys."""
        return self.key_heads * self.key_width

    @property
    def values(self) -> int:
        """Columns of all values."""
        return self.value_heads * self.value_width

    @property
    def channels(self) -> int:
        return 2 * self.keys + self.values

    def heads(self, mixed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries and keys [T, K, X] and values [T, H, Y] after the convolution, as views."""
        query, key, value = mixed.split((self.keys, self.keys, self.values), -1)
        shape = self.key_heads, self.key_width
        return query.unflatten(-1, shape), key.unflatten(-1, shape), value.unflatten(-1, (self.value_heads, -1))

    def columns(self, y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The first product's parts: inputs of the convolution, gate, beta and decay, as views."""
        mixed, gate, beta, decay = y[:, : self.width].split(
            (self.channels, self.values, self.value_heads, self.value_heads), -1
        )
        return mixed, gate, beta, decay

    @property
    def width(self) -> int:
        """Columns of the first product."""
        return self.channels + self.values + 2 * self.value_heads
