"""The heads of gated attention: the first product has a query and a gate for each query head, side by side, then keys,
then values.

# T = tokens, G = key/value heads, W = width of a head
"""

from typing import NamedTuple

from torch import Tensor


class GatedHeads(NamedTuple):
    """
    Args:
        query_norm, key_norm: [W], frozen; heads are multiplied by 1 + norm.
    """

    queries: int
    keys: int
    width: int
    query_norm: Tensor
    key_norm: Tensor
    eps: float

    @property
    def columns(self) -> int:
        """Of the first product."""
        return 2 * (self.queries + self.keys) * self.width

    def values(self, y: Tensor) -> Tensor:
        """[T, G, W], a view of the first product."""
        return y[:, self.columns - self.keys * self.width : self.columns].unflatten(1, (self.keys, self.width))
