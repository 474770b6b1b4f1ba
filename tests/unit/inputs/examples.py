"""Examples that several tests collate."""

import numpy as np

from texlens.core.labels import IGNORE_INDEX
from texlens.inputs.example import Example
from texlens.inputs.pack import PackSpec

IMAGE, PAD = 9, 0

LAYOUT = PackSpec(IMAGE, PAD)


def example(name: str, grid: tuple[int, int], answer: list[int], fill: int = 1) -> Example:
    rows, columns = grid
    prompt = [1, *[IMAGE] * (rows * columns // 4), 2]
    patches = np.full((rows * columns, 12), fill, np.uint8)
    return Example([*prompt, *answer], [IGNORE_INDEX] * len(prompt) + answer, (1, rows, columns), name, patches)
