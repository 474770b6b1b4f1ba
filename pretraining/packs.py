"""Fixed-size packs of (image, label) pairs for pre-training: plain numpy, made in worker processes.

# P = image patches of a pack, V = P / 4 image tokens, T = text and image tokens, N = samples (all padded to constants)

Shapes never change, so the training step compiles once. Padding makes segments of its own, without labels.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

PATCH, MERGE = 8, 2


@dataclass(frozen=True)
class PackSize:
    """Budgets of one pack. `patches` is 4 × the image tokens."""

    tokens: int = 24_576
    patches: int = 57_344
    samples: int = 400
    longest_image: int = 1536
    longest_text: int = 1024

    @classmethod
    def of_tokens(cls, tokens: int) -> "PackSize":
        """As many patches for these text and image tokens as the default has, in whole blocks."""
        return cls(tokens=tokens, patches=tokens * 7 // 3 // 256 * 256)


@dataclass(frozen=True)
class Prompt:
    """Token ids before and after the image tokens, up to where the answer starts, and the end-of-turn token."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    end: int
    image: int


def gray_patches(image: Image.Image) -> tuple[np.ndarray, int, int]:
    """Patches [P, 64] uint8 in the processor's merged order, and the grid in patches (height, width)."""
    height, width = image.height // PATCH, image.width // PATCH
    pixels = np.asarray(image, dtype=np.uint8)
    blocks = pixels.reshape(height // MERGE, MERGE, PATCH, width // MERGE, MERGE, PATCH)
    return blocks.transpose(0, 3, 1, 4, 2, 5).reshape(height * width, PATCH * PATCH), height, width


def merged_order(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Row and column [P] of each patch, in the order of `gray_patches`."""
    rows, columns = np.indices((height, width))
    shape = (height // MERGE, MERGE, width // MERGE, MERGE)
    return tuple(axis.reshape(shape).transpose(0, 2, 1, 3).reshape(-1) for axis in (rows, columns))


def position_mix(height: int, width: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Four table rows and their bilinear weights [P, 4] for each patch (Qwen3-VL's resampled position table)."""
    rows, columns = merged_order(height, width)
    y, x = np.linspace(0, side - 1, height)[rows], np.linspace(0, side - 1, width)[columns]
    y0, x0 = y.astype(int), x.astype(int)
    y1, x1 = np.minimum(y0 + 1, side - 1), np.minimum(x0 + 1, side - 1)
    fy, fx = y - y0, x - x0
    index = np.stack([y0 * side + x0, y0 * side + x1, y1 * side + x0, y1 * side + x1], -1)
    weight = np.stack([(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx], -1)
    return index, weight


class Packer:
    """Collects samples until one no longer fits, then gives the pack as a dict of arrays."""

    def __init__(self, size: PackSize, prompt: Prompt, side: int):
        self.size, self.prompt, self.side = size, prompt, side
        self.grids: dict[tuple[int, int], tuple] = {}
        self._clear()

    def _clear(self) -> None:
        size = self.size
        self.patches = np.zeros((size.patches, PATCH * PATCH), np.uint8)
        self.mix_index = np.zeros((size.patches, 4), np.int16)
        self.mix_weight = np.zeros((size.patches, 4), np.float16)
        self.cells = np.zeros((2, size.patches), np.int16)
        self.ids = np.zeros(size.tokens, np.int16)
        self.labels = np.full(size.tokens, -100, np.int16)
        self.positions = np.zeros((3, size.tokens), np.int16)
        self.visual = np.full(size.tokens, size.patches // 4, np.int32)
        self.image_ends: list[int] = [0]
        self.text_ends: list[int] = [0]

    def add(self, image: Image.Image, answer: list[int]) -> dict | None:
        """Takes one sample (an 'L' image, sides multiples of 16); returns the full pack it did not fit into."""
        patches, height, width = gray_patches(image)
        length = len(self.prompt.before) + len(patches) // 4 + len(self.prompt.after) + len(answer) + 1
        full = (
            self.image_ends[-1] + len(patches) > self.size.patches
            or self.text_ends[-1] + length > self.size.tokens
            or len(self.text_ends) > self.size.samples
        )
        pack = self.finish() if full else None
        self._place_image(patches, height, width)
        self._place_text(height // MERGE, width // MERGE, answer)
        return pack

    def _grid(self, height: int, width: int) -> tuple:
        if (height, width) not in self.grids:
            self.grids[height, width] = (*position_mix(height, width, self.side), np.stack(merged_order(height, width)))
        return self.grids[height, width]

    def _place_image(self, patches: np.ndarray, height: int, width: int) -> None:
        start, end = self.image_ends[-1], self.image_ends[-1] + len(patches)
        index, weight, cells = self._grid(height, width)
        self.patches[start:end], self.cells[:, start:end] = patches, cells
        self.mix_index[start:end], self.mix_weight[start:end] = index, weight
        self.image_ends.append(end)

    def _place_text(self, rows: int, columns: int, answer: list[int]) -> None:
        prompt, start = self.prompt, self.text_ends[-1]
        ids = [*prompt.before, *[prompt.image] * (rows * columns), *prompt.after, *answer, prompt.end]
        first, after = len(prompt.before), len(prompt.before) + rows * columns
        positions = np.empty((3, len(ids)), np.int16)
        positions[:, :first] = np.arange(first)
        y, x = np.divmod(np.arange(rows * columns), columns)
        positions[:, first:after] = first + np.stack([np.zeros_like(y), y, x])
        positions[:, after:] = first + max(rows, columns) + np.arange(len(ids) - after)
        end = start + len(ids)
        self.ids[start:end], self.positions[:, start:end] = ids, positions
        self.labels[end - len(answer) - 1 : end] = ids[-len(answer) - 1 :]
        image_start = self.image_ends[-2] // 4
        self.visual[start + first : start + after] = np.arange(image_start, image_start + rows * columns)
        self.text_ends.append(end)

    def finish(self) -> dict:
        pack = {
            "patches": self.patches,
            "mix_index": self.mix_index,
            "mix_weight": self.mix_weight,
            "cells": self.cells,
            "ids": self.ids,
            "labels": self.labels,
            "positions": self.positions,
            "visual": self.visual,
            "image_ends": self._padded_ends(self.image_ends, self.size.patches, self.size.longest_image),
            "text_ends": self._padded_ends(self.text_ends, self.size.tokens, self.size.longest_text),
            "samples": len(self.text_ends) - 1,
        }
        self._clear()
        return pack

    def _padded_ends(self, ends: list[int], total: int, longest: int) -> np.ndarray:
        """Segment bounds [samples + 512]; the padding is cut into segments no longer than the longest sample."""
        ends = [*ends, *range(ends[-1] + longest, total, longest)]
        return np.array(ends + [total] * (self.size.samples + 512 - len(ends)), np.int32)


def packs(samples: Iterator[tuple[Image.Image, list[int]]], packer: Packer) -> Iterator[dict]:
    for image, answer in samples:
        pack = packer.add(image, answer)
        if pack is not None:
            yield pack
