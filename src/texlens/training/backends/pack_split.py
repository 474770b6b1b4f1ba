"""A pack cut in two between examples, for a step that did not fit into memory.

# T = tokens, P = patches, V = image tokens, L = labels
"""

import torch
from torch import Tensor

from texlens.core.labels import IGNORE_INDEX
from texlens.inputs.pack import Pack


def split_pack(pack: Pack, unit: int) -> tuple[Pack, Pack] | None:
    """Both parts, about equally long and without padding; None for a single example, or with features from a cache.

    Args:
        unit: patches of an image token.
    """
    ends = pack["text_ends"][: len(pack["rows"]) + 1].tolist()
    if len(pack["rows"]) < 2 or "cached_features" in pack or pack["new_images"]:
        return None
    middle = min(range(1, len(ends) - 1), key=lambda number: abs(2 * ends[number] - ends[-1]))
    image_tokens = int((pack["image_rows"] < ends[middle]).sum())
    total_image_tokens = int((pack["image_rows"] < ends[-1]).sum())
    first = _part(pack, (0, middle), (0, image_tokens), unit, ends)
    second = _part(pack, (middle, len(pack["rows"])), (image_tokens, total_image_tokens), unit, ends)
    return first, second


def _part(pack: Pack, rows: tuple[int, int], image_tokens: tuple[int, int], unit: int, ends: list[int]) -> Pack:
    start, stop = ends[rows[0]], ends[rows[1]]
    label_rows, labels = pack["label_rows"], pack["labels"]
    chosen = (label_rows >= start) & (label_rows < stop) & (labels != IGNORE_INDEX)
    part: Pack = {
        "rows": pack["rows"][rows[0] : rows[1]],
        "ids": pack["ids"][start:stop],
        "positions": pack["positions"][:, start:stop],
        "text_ends": _bounds(pack["text_ends"], start, stop),
        "longest_text": pack["longest_text"],
        "label_rows": label_rows[chosen] - start,
        "labels": labels[chosen],
        "image_rows": pack["image_rows"][image_tokens[0] : image_tokens[1]] - start,
        "tokens": stop - start,
        "label_count": int(chosen.sum()),
        "new_images": [],
    }
    return part | _segments_part(pack, start, stop) | _vision_part(pack, image_tokens, unit)


def _segments_part(pack: Pack, start: int, stop: int) -> Pack:
    """The prefixes and branches within [start, stop], and an empty segment of padding."""
    if "segment_ends" not in pack:
        return {}
    begins = pack["segment_ends"][:-1]
    inside = (begins >= start) & (begins < stop)
    length = pack["segment_ends"].new_tensor([stop - start])
    part: Pack = {
        name: torch.cat([pack[name][inside] - start, length]) for name in ("prefix_starts", "prefix_ends", "group_ends")
    }
    longest = {name: pack[name] for name in ("longest_segment", "longest_prefix")}
    return part | longest | {"segment_ends": _bounds(pack["segment_ends"], start, stop)}


def _vision_part(pack: Pack, image_tokens: tuple[int, int], unit: int) -> Pack:
    """The images whose merged patches are `image_tokens`; their order within an image is kept."""
    if "patches" not in pack:
        return {"feature_rows": pack["feature_rows"][image_tokens[0] : image_tokens[1]]}
    start, stop = image_tokens[0] * unit, image_tokens[1] * unit
    part: Pack = {
        "feature_rows": pack["feature_rows"][image_tokens[0] : image_tokens[1]] - image_tokens[0],
        "patches": pack["patches"][start:stop],
        "cells": pack["cells"][:, start:stop],
        "image_ends": _bounds(pack["image_ends"], start, stop),
        "longest_image": pack["longest_image"],
    }
    if "window_ends" in pack:
        part |= {
            "window_ends": _bounds(pack["window_ends"], start, stop),
            "longest_window": pack["longest_window"],
        }
    if "table_index" in pack:
        part |= {name: pack[name][start:stop] for name in ("table_index", "table_weight")}
    return part


def _bounds(ends: Tensor, start: int, stop: int) -> Tensor:
    """The bounds within [start, stop], counted from start, and an empty segment of padding."""
    inside = ends[(ends >= start) & (ends <= stop)].unique()
    return torch.cat([inside, inside[-1:]]) - start
