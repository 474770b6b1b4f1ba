"""The key-value cache: one pool of positions a layer, dealt out in pages when a row joins.

A row reserves the pages for its prompt and all tokens that it may write before it joins, so that no row ever runs out.
The first page belongs to no row: padding is written there.

# C = positions in the pool, G = key/value heads, W = width of a head, S = slots, P = pages of a slot
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from texlens.inference.engine.recurrent_states import RecurrentStates

PAGE_SIZE = 32
"""Positions of a page."""


def pages_for(positions: int) -> int:
    """Pages that hold so many positions."""
    return -(-positions // PAGE_SIZE)


class PagedCache:
    """Keys and values [C, G, W] of each layer, and which pages are free.

    Args:
        pages: that rows can reserve; one more is allocated for padding.
        states: of delta nets, by slot, where the model has some.
    """

    def __init__(
        self,
        layers: int,
        keys: int,
        width: int,
        *,
        pages: int,
        dtype: torch.dtype,
        device: torch.device,
        states: RecurrentStates | None = None,
    ):
        self.pages, self.states = pages, states
        shape = layers, (pages + 1) * PAGE_SIZE, keys, width
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        self.values = torch.zeros(shape, dtype=dtype, device=device)
        self._free = list(range(pages, 0, -1))

    @property
    def free_pages(self) -> int:
        return len(self._free)

    def reserve(self, count: int) -> list[int]:
        """So many free pages, no longer free.

        Raises:
            ValueError: there are fewer; ask `free_pages` before.
        """
        if count > len(self._free):
            raise ValueError(f"{count} pages wanted, {len(self._free)} free")
        return [self._free.pop() for _ in range(count)]

    def copy(self, source: Tensor, target: Tensor, source_slots: Tensor, target_slots: Tensor) -> None:
        """What is at positions `source` [N] of the pool also at `target` [N], and the same of the states of slots."""
        for pool in (self.keys, self.values):
            for layer in pool:
                layer.index_copy_(0, target, layer[source])
        if self.states is not None:
            self.states.copy(source_slots, target_slots)

    def release(self, pages: Sequence[int]) -> None:
        self._free.extend(reversed(pages))


def positions_of(pages: Sequence[int], count: int) -> np.ndarray:
    """The first `count` positions of the pages in the pool, int64."""
    steps = np.arange(count)
    return np.asarray(pages, np.int64)[steps // PAGE_SIZE] * PAGE_SIZE + steps % PAGE_SIZE
