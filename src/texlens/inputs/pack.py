"""The `Pack`: several examples end to end as one sequence, with everything that the model needs to keep them apart.

# T = tokens, P = patches, V = image tokens, L = labels, S = examples, I = images, C = numbers of a patch
# K = 1 + deepstack parts, D = width of features

Made of numpy in the loader's workers, so that the training step computes no positions and waits for nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, Int32
from torch import Tensor

from texlens.core.labels import IGNORE_INDEX
from texlens.inputs.branches.segments import segment_bounds
from texlens.inputs.example import Example

Pack = dict[str, Any]
"""What `lay` returns, by name:

ids            int32 [T]       tokens, padded at the end
positions      int32 [3, T]    M-RoPE: time, row and column
text_ends      int32 [S + 2]   bounds of the examples; the last segment is the padding
longest_text   int             length of the longest segment
label_rows     int64 [L]       the token before each label: its hidden state says the label
labels         int64 [L]       padding is -100
label_count    int             labels without padding
in_bucket      bool            whether all lengths are multiples of a `PackBucket`
image_rows     int64 [V]       tokens that stand for images
feature_rows   int64 [V]       which merged patch each of them is; those of `stored` count on from the tower's
stored         [K, -, D]       features that came with the examples; not there where none did
fresh          list            (key, first, last) of each image whose features are to be kept, as bounds in V
patches        uint8 [P, C]    not normalized, one frame
cells          int32 [2, P]    row and column of each patch in its image
patch_count    int             patches without padding
image_ends     int32 [I + 2]   bounds of the images among the patches; the last segment is the padding
longest_image  int
window_ends    int32           bounds of the attention windows, where the family has them
longest_window int
table_index    int64 [P, 4]    the four nearest positions in the tower's table, where the family has one
table_weight   float32 [P, 4]
rows           list of str     the ids of the examples
tokens         int             without padding

Where an example has branches (`inputs.branches`), segments are prefixes, branches and plain examples, then the padding:

segment_ends   int32 [G + 1]   their bounds
prefix_starts  int32 [G]       the tokens before a segment that it attends to; as many as `prefix_ends` minus this
prefix_ends    int32 [G]
group_ends     int32 [G]       the end of the last token that attends to a segment: its own, or its last branch's
longest_segment, longest_prefix  int

What the tower reads (patches to table_weight) is of the images that came without features; where all came with them
it is not there.
"""


@dataclass(frozen=True)
class PackBucket:
    """Sizes to which small packs are padded, so that few shapes occur and each can be a CUDA graph.

    Args:
        tokens, patches, labels, bounds: multiples of their numbers.
        patches_per_token, labels_per_token: as many as these at least, so that most packs of equally many tokens agree;
            a formula of about 290 tokens has 2.3 and 0.35.
        steps_up: a pack with more patches or labels is padded to a longer one, by at most so many multiples of tokens,
            whose patches and labels are enough.
        windows_per_patch: bounds of attention windows, where the family has them.
        segment: the longest segment counts as at least so long, and as a power of two.
        padding: longest segment of padding.
        most_tokens: longer packs are not padded in this way.
    """

    tokens: int = 256
    patches: int = 512
    labels: int = 128
    bounds: int = 32
    patches_per_token: float = 2.45
    labels_per_token: float = 0.42
    steps_up: int = 2
    windows_per_patch: float = 0.025
    segment: int = 2048
    padding: int = 256
    most_tokens: int = 6144

    def tokens_for(self, tokens: int, patches: int, labels: int) -> int:
        """Tokens with padding, of which there is one at least."""
        least = _up(tokens + 1, self.tokens)
        lengths = (least + step * self.tokens for step in range(self.steps_up + 1))
        fits = (n for n in lengths if patches <= self.patches_for(n) and labels <= self.labels_for(n))
        return min(next(fits, least), max(least, self.most_tokens))

    def patches_for(self, tokens: int, patches: int = 0) -> int:
        """Patches with padding beside so many padded tokens."""
        return _up(max(patches, round(self.patches_per_token * tokens)), self.patches)

    def labels_for(self, tokens: int, labels: int = 0) -> int:
        """Labels with padding beside so many padded tokens."""
        return _up(max(labels, round(self.labels_per_token * tokens)), self.labels)


@dataclass(frozen=True)
class PackSpec:
    """What a family's tower wants to know of its patches.

    `window` is the side of an attention window in merged patches (Qwen2.5-VL), `table_side` the side of the square
    table of learnt positions (Qwen3-VL); None for the families without them. Tokens and patches are padded to multiples
    of `token_multiple` and `patch_multiple`, so that a GPU meets few different shapes.
    """

    image_token_id: int
    pad_token_id: int
    merge_size: int = 2
    window: int | None = None
    table_side: int | None = None
    token_multiple: int = 1
    patch_multiple: int = 4
    bucket: PackBucket | None = None


def build_pack(examples: Sequence[Example], spec: PackSpec) -> Pack:
    """The examples, in their order, as one pack. Their patches must be raw (uint8)."""
    pack: Pack = {"rows": [example.sample_id for example in examples]}
    bucket = spec.bucket
    if bucket and (
        sum(map(len, examples)) >= bucket.most_tokens
        or any(example.features or example.branch_starts for example in examples)
    ):
        bucket = None
    least_tokens, least_patches = 0, 0
    if bucket:
        least_tokens = _bucket_tokens(examples, bucket)
        least_patches = bucket.patches_for(least_tokens)
        spec = replace(spec, token_multiple=bucket.tokens, patch_multiple=bucket.patches)
    pack |= _text(examples, spec, least_tokens)
    pack |= _vision(examples, spec, least_patches)
    pack["label_count"] = len(pack["labels"])
    return _in_bucket(pack, bucket, spec.merge_size**2) if bucket else pack


def mrope_positions(example: Example, image_token_id: int, merge: int) -> Int32[np.ndarray, "3 T"]:
    """Positions [3, T] of one example: text counts on in all three, an image in rows and columns from where it stands.

    Each branch counts on from the end of the prefix, as if it were alone.

    Source: Qwen2-VL (arXiv:2409.12191), as transformers' `get_rope_index` lays stills.
    """
    if getattr(example, "branch_starts", ()):
        return _branch_positions(example, image_token_id, merge)
    ids = np.asarray(example.input_ids)
    positions = np.empty((3, len(ids)), np.int32)
    is_image = ids == image_token_id
    changes = np.flatnonzero(np.diff(is_image)) + 1
    at, used = 0, 0
    grids = grids_of(example)
    for start, end in zip([0, *changes], [*changes, len(ids)], strict=True):
        if not is_image[start]:
            positions[:, start:end] = at + np.arange(end - start)
            at += end - start
            continue
        _, rows, columns = grids[used]
        rows, columns, used = rows // merge, columns // merge, used + 1
        positions[0, start:end] = at
        positions[1, start:end] = at + np.repeat(np.arange(rows), columns)
        positions[2, start:end] = at + np.tile(np.arange(columns), rows)
        at += max(rows, columns)
    return positions


def _branch_positions(example: Example, image_token_id: int, merge: int) -> Int32[np.ndarray, "3 T"]:
    first, second = (*example.branch_starts, len(example))[:2]
    start_of_rest = replace(example, input_ids=example.input_ids[:second], branch_starts=())
    positions = np.empty((3, len(example)), np.int32)
    positions[:, :second] = mrope_positions(start_of_rest, image_token_id, merge)
    for start, end in pairwise((*example.branch_starts, len(example))):
        positions[:, start:end] = positions[0, first] + np.arange(end - start)
    return positions


def grids_of(example: Example) -> Sequence[tuple[int, int, int]]:
    """The grids of an example's images, in their order."""
    return getattr(example, "grids", None) or (example.grid,)


def _bucket_tokens(examples: Sequence[Example], bucket: PackBucket) -> int:
    tokens = sum(map(len, examples))
    patches = sum(frames * rows * columns for example in examples for frames, rows, columns in grids_of(example))
    labels = sum(len(example.labels) - 1 - example.labels[1:].count(IGNORE_INDEX) for example in examples)
    return bucket.tokens_for(tokens, patches, labels)


def _in_bucket(pack: Pack, bucket: PackBucket, unit: int) -> Pack:
    """Lengths padded to the bucket's: labels that are ignored, image tokens among the padding, empty segments."""
    first, padded = pack["tokens"], len(pack["ids"])
    labels = bucket.labels_for(padded, pack["label_count"])
    image_tokens = len(pack["patches"]) // unit
    spare = torch.arange(image_tokens - len(pack["image_rows"])) % (padded - first) + first
    pack |= {
        "label_rows": _padded(pack["label_rows"], labels, 0),
        "labels": _padded(pack["labels"], labels, IGNORE_INDEX),
        "image_rows": torch.cat([pack["image_rows"], spare]),
        "feature_rows": _padded(pack["feature_rows"], image_tokens, 0),
        "in_bucket": True,
    }
    for kind in ("text", "image", "window"):
        if f"{kind}_ends" in pack:
            ends = pack[f"{kind}_ends"]
            longest = max(bucket.segment, 1 << (int(ends[:-1].diff().max()) - 1).bit_length())
            least = round(bucket.windows_per_patch * len(pack["patches"])) if kind == "window" else 0
            pack[f"{kind}_ends"] = _with_cut_padding(ends, min(bucket.padding, longest), least, bucket.bounds)
            pack[f"longest_{kind}"] = longest
    return pack


def _with_cut_padding(ends: Tensor, length: int, least: int, multiple: int) -> Tensor:
    """
    Args:
        ends: bounds, the last one the end of the padding.
        length: of the segments into which the padding is cut; some may be empty.
        least: bounds that are returned at least; then as many as a `multiple`.
    """
    start, end = int(ends[-2]), int(ends[-1])
    count = _up(max(len(ends) - 1 + -(-(end - start) // length), len(ends), least), multiple)
    padding = torch.arange(1, count - len(ends) + 2) * length + start
    return torch.cat([ends[:-1], padding.clamp(max=end).to(ends.dtype)])


def _padded(values: Tensor, length: int, value: int) -> Tensor:
    return torch.cat([values, values.new_full((length - len(values),), value)])


def _text(examples: Sequence[Example], spec: PackSpec, least_tokens: int = 0) -> Pack:
    lengths = [len(example) for example in examples]
    total = sum(lengths)
    padded = _up(max(total, least_tokens), spec.token_multiple)
    ids = np.full(padded, spec.pad_token_id, np.int32)
    labels = np.full(padded + 1, IGNORE_INDEX, np.int64)
    positions = np.zeros((3, padded), np.int32)
    ends = np.cumsum([0, *lengths])
    for example, start, end in zip(examples, ends[:-1], ends[1:], strict=True):
        ids[start:end] = example.input_ids
        labels[start:end] = example.labels
        labels[start] = IGNORE_INDEX
        positions[:, start:end] = mrope_positions(example, spec.image_token_id, spec.merge_size)
    positions[:, total:] = np.arange(padded - total)
    rows = np.flatnonzero(labels[1:] != IGNORE_INDEX)
    return {
        "ids": torch.from_numpy(ids),
        "positions": torch.from_numpy(positions),
        "text_ends": _ends(ends, padded),
        "longest_text": int(max(*lengths, padded - total)),
        "label_rows": torch.from_numpy(rows),
        "labels": torch.from_numpy(labels[rows + 1]),
        "image_rows": torch.from_numpy(np.flatnonzero(ids == spec.image_token_id)),
        "tokens": int(total),
    } | segment_bounds(examples, ends, padded)


def _vision(examples: Sequence[Example], spec: PackSpec, least_patches: int = 0) -> Pack:
    images = [image for example in examples for image in _images(example)]
    grids = [grid for grid, _, features in images if features is None]
    pack, tower_rows = _patches(examples, grids, spec, least_patches) if grids else ({}, np.zeros(0, np.int64))
    unit = spec.merge_size**2
    of_tower, of_store, at = 0, len(pack["patches"]) // unit if pack else 0, 0
    row_parts, new_images = [], []
    for (frames, rows, columns), key, features in images:
        count = frames * rows * columns // unit
        if features is None:
            row_parts.append(tower_rows[of_tower : of_tower + count])
            of_tower += count
            if key:
                new_images.append((key, at, at + count))
        else:
            row_parts.append(np.arange(of_store, of_store + count))
            of_store += count
        at += count
    stored = [features for _, _, features in images if features is not None]
    pack |= {"feature_rows": torch.from_numpy(np.concatenate(row_parts)), "new_images": new_images}
    return pack | ({"cached_features": torch.cat(stored, 1)} if stored else {})


def _images(example: Example) -> list[tuple[tuple[int, int, int], str | None, Tensor | None]]:
    """Grid, key and kept features of each image."""
    grids = grids_of(example)
    none = (None,) * len(grids)
    return list(zip(grids, example.keys or none, example.features or none, strict=True))


def _patches(
    examples: Sequence[Example], grids: Sequence[tuple[int, int, int]], spec: PackSpec, least: int = 0
) -> tuple[Pack, np.ndarray]:
    """What the tower reads, and where in its output the merged patches stand, in the images' own order."""
    counts = [frames * rows * columns for frames, rows, columns in grids]
    total, unit = sum(counts), spec.merge_size**2
    padded = _up(max(total, least), spec.patch_multiple)
    pixels = [example.patches for example in examples if example.patches is not None]
    patches = np.empty((padded, pixels[0].shape[1]), np.uint8)
    np.concatenate(pixels, out=patches[:total])
    patches[total:] = 0
    cells = np.zeros((2, padded), np.int32)
    ends = np.cumsum([0, *counts])
    for (_, rows, columns), start, end in zip(grids, ends[:-1], ends[1:], strict=True):
        cells[:, start:end] = _cells(rows, columns, spec.merge_size)
    longest = int(max(*counts, padded - total))
    pack: Pack = {"image_ends": _ends(ends, padded), "longest_image": longest, "patch_count": total}
    tower_rows = np.arange(total // unit)
    if spec.window:
        order, window_ends = _windows(grids, spec.window, spec.merge_size)
        moved = (order[:, None] * unit + np.arange(unit)).ravel()
        patches[:total], cells[:, :total] = patches[moved], cells[:, moved]
        tower_rows = np.argsort(order)
        pack |= {
            "window_ends": _ends(window_ends, padded),
            "longest_window": int(max(np.diff(window_ends).max(), padded - total)),
        }
    if spec.table_side:
        sizes = np.ones((2, padded), np.int32)
        for (_, rows, columns), start, end in zip(grids, ends[:-1], ends[1:], strict=True):
            sizes[:, start:end] = [[rows], [columns]]
        pack |= _table(cells, sizes, spec.table_side)
    return pack | {"patches": torch.from_numpy(patches), "cells": torch.from_numpy(cells)}, tower_rows


def _cells(rows: int, columns: int, merge: int) -> Int[np.ndarray, "2 patches"]:
    """Row and column [2, rows x columns] of the patches, in blocks of merge x merge."""
    block = (rows // merge, merge, columns // merge, merge)
    both = np.broadcast_arrays(np.arange(rows)[:, None], np.arange(columns))
    return np.stack([axis.reshape(block).swapaxes(1, 2).ravel() for axis in both])


def _windows(
    grids: Sequence[tuple[int, int, int]], side: int, merge: int
) -> tuple[Int[np.ndarray, " merged"], Int[np.ndarray, " bounds"]]:
    """Merged patches of all images in the order of their attention windows, and the windows' bounds in patches.

    Windows are side x side merged patches, cut off at the image's edges. Source: Qwen2.5-VL (arXiv:2502.13923).
    """
    orders, sizes, before = [], [], 0
    for frames, rows, columns in grids:
        rows, columns = rows // merge, columns // merge
        row, column = (axis.ravel() for axis in np.indices((rows, columns)))
        window = row // side * -(-columns // side) + column // side
        for _ in range(frames):
            orders.append(before + np.argsort(window, kind="stable"))
            sizes.append(np.bincount(window))
            before += rows * columns
    return np.concatenate(orders), np.cumsum([0, *np.concatenate(sizes)]) * merge**2


def _table(cells: Int[np.ndarray, "2 patches"], sizes: Int[np.ndarray, "2 patches"], side: int) -> Pack:
    """Bilinear reading of a square table of positions whose corners are the image's corners."""
    position = cells.astype(np.float32) * (side - 1) / np.maximum(sizes - 1, 1).astype(np.float32)
    low = np.floor(position).astype(np.int64)
    high, part = np.minimum(low + 1, side - 1), (position - low).astype(np.float32)
    index = [row * side + column for row in (low[0], high[0]) for column in (low[1], high[1])]
    weight = [row * column for row in (1 - part[0], part[0]) for column in (1 - part[1], part[1])]
    return {
        "table_index": torch.from_numpy(np.stack(index, -1)),
        "table_weight": torch.from_numpy(np.stack(weight, -1).astype(np.float32)),
    }


def _ends(ends: Int[np.ndarray, " bounds"], padded: int) -> Int32[Tensor, " bounds_and_padding"]:
    """Bounds as int32, with the padding as a last segment, empty where there is none."""
    return torch.from_numpy(np.append(ends, padded).astype(np.int32))


def _up(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple
