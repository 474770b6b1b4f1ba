"""A step that does not fit into the GPU's memory is run again in packs of half the size."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from texlens.inputs.pack import Pack
from texlens.training.backends.pack_split import split_pack

Result = TypeVar("Result")


@dataclass
class SmallerPacks:
    """
    Args:
        unit: patches of an image token.
        split: cuts a pack in two, given the unit; None where it can't be cut.
        most_tokens: of a pack, None until a step has failed; longer ones are cut.
        warn: is called with one line a failure.
        clear: frees what the failed step has left, its gradients and the allocator's cache.
    """

    unit: int = 4
    split: Callable[[Pack, int], tuple[Pack, Pack] | None] = split_pack
    most_tokens: int | None = None
    warn: Callable[[str], Any] = warnings.warn
    clear: Callable[[], None] = lambda: None

    def __call__(self, packs: Sequence[Pack], run: Callable[[Sequence[Pack]], Result]) -> tuple[Sequence[Pack], Result]:
        """The packs as they were run, and the result.

        Raises:
            torch.OutOfMemoryError: a pack that can't be cut does not fit.
        """
        packs = self._cut(packs)
        while True:
            try:
                return packs, run(packs)
            except torch.OutOfMemoryError:
                longest = max((pack["tokens"] for pack in packs), default=0)
                self.most_tokens = max(longest // 2, 1)
                smaller = self._cut(packs)
                if len(smaller) == len(packs):
                    raise
                packs = smaller
            self.clear()
            self.warn(f"out of memory: packs of at most {self.most_tokens:,} tokens from here on, and the step again")

    def _cut(self, packs: Sequence[Pack]) -> list[Pack]:
        if self.most_tokens is None:
            return list(packs)
        result: list[Pack] = []
        for pack in packs:
            parts = self.split(pack, self.unit) if pack["tokens"] > self.most_tokens else None
            result += self._cut(parts) if parts else [pack]
        return result
