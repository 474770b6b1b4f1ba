"""Rows that have one prompt, such as several answers to an image: it is read once, and what it left in the cache is
copied to the others.

# B = rows, N = positions that are copied
"""

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from texlens.inference.engine.cache import positions_of

Row = TypeVar("Row")


def distinct(rows: Sequence[Row], key: Callable[[Row], Hashable]) -> tuple[list[Row], list[int]]:
    """The first row of each key, and of every row the number of the one that stands for it.

    Example:
        keys a, b, a, c -> rows 0, 1, 3; sources [0, 1, 0, 2]
    """
    numbers: dict[Hashable, int] = {}
    firsts, sources = [], []
    for row in rows:
        if key(row) not in numbers:
            numbers[key(row)] = len(firsts)
            firsts.append(row)
        sources.append(numbers[key(row)])
    return firsts, sources


def copies_of(
    pages: Sequence[Sequence[int]], slots: Sequence[int], lengths: Sequence[int], sources: Sequence[int]
) -> dict[str, Tensor]:
    """What `PagedCache.copy` takes, by name after `copies.`, and `prompt_of_row`, the number of each row's prompt.

    Args:
        pages: of each row.
        slots: of each row.
        lengths: of each prompt, in tokens.
        sources: of each row the number of its prompt; the first row of a prompt has read it.
    """
    first: dict[int, int] = {}
    froms, tos, copied = [], [], []
    for row, source in enumerate(sources):
        reader = first.setdefault(source, row)
        if reader != row:
            froms.append(positions_of(pages[reader], lengths[source]))
            tos.append(positions_of(pages[row], lengths[source]))
            copied.append((slots[reader], slots[row]))
    from_slots, to_slots = zip(*copied, strict=True)
    arrays = {
        "source": np.concatenate(froms),
        "target": np.concatenate(tos),
        "source_slots": np.array(from_slots, np.int64),
        "target_slots": np.array(to_slots, np.int64),
    }
    copies = {f"copies.{name}": torch.from_numpy(array) for name, array in arrays.items()}
    return copies | {"prompt_of_row": torch.tensor(sources)}
