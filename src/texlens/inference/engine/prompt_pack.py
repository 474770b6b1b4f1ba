"""Prompts as a pack: an image that several rows read (by base and adapter, say) is in it once.

# T = tokens, B = rows, I = image tokens, P = patches

A pack for a CUDA graph is padded to one of a few sizes: T tokens of which the last is always padding, 4 T patches, T
image tokens and `GRAPH_ROWS` rows. What is padding refers to the last token.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from texlens.inputs.example import Example
from texlens.inputs.pack import PackSpec, build_pack

GRAPH_TOKENS = (256, 512, 1024, 2048)
"""Sizes of the packs that have a CUDA graph."""
GRAPH_ROWS = 16
LARGE_MULTIPLE, SMALL_MULTIPLE = 256, 64


@dataclass(frozen=True)
class PromptPack:
    """`vision` is the vision tower's part of a pack of the different prompts; the rest is of the rows, in their order.

    `token_ids` int32 [T], `positions` int32 [3, T], `ends` int32 [B + 2] (the last segment is padding), `image_rows`
    int64 [I], `feature_rows` int64 [I], `rows` int64 [T] (each token's row; padding has B), `last` int64 [B] (the last
    token of each row), `lengths` of the rows, and `offsets`: what is added to a row's length for the M-RoPE position of
    its next token.
    """

    vision: dict[str, Any]
    token_ids: np.ndarray
    positions: np.ndarray
    ends: np.ndarray
    longest: int
    image_rows: np.ndarray
    feature_rows: np.ndarray
    rows: np.ndarray
    last: np.ndarray
    lengths: np.ndarray
    offsets: np.ndarray


def graph_size(prompts: Sequence[Example]) -> int | None:
    """Tokens of the smallest padded pack that holds the prompts, or None."""
    tokens = sum(map(len, prompts))
    fits = [size for size in GRAPH_TOKENS if size > tokens]
    return fits[0] if fits and len(prompts) <= GRAPH_ROWS else None


def token_multiple(prompts: Sequence[Example]) -> int:
    """What a large pack's tokens are padded to a multiple of: full packs have one shape then, and a GPU's libraries
    load no other kernels in the middle of reading."""
    return LARGE_MULTIPLE if sum(map(len, prompts)) > GRAPH_TOKENS[-1] else SMALL_MULTIPLE


def build_prompt_pack(
    prompts: Sequence[Example], spec: PackSpec, size: int | None = None, *, multiple: int = 1
) -> PromptPack:
    """
    Args:
        prompts: of each row; rows that share a prompt hold the same object. Patches are raw (uint8).
        size: tokens that the pack is padded to, from `graph_size`.
        multiple: of the tokens without a size; that of the patches is four times (the family's square) as large.
    """
    unique = list({id(prompt): prompt for prompt in prompts}.values())
    if size is not None or multiple > 1:
        spec = replace(spec, patch_multiple=spec.merge_size**2 * (size or multiple))
    pack = build_pack(unique, spec)
    places = {id(prompt): number for number, prompt in enumerate(unique)}
    starts = pack["text_ends"].numpy()
    spans = [(starts[places[id(prompt)]], len(prompt)) for prompt in prompts]
    tokens = np.concatenate([start + np.arange(length) for start, length in spans])
    lengths = np.array([length for _, length in spans])
    padding = -len(tokens) % multiple if size is None else size - len(tokens)
    ids = np.append(pack["ids"].numpy()[tokens], np.full(padding, spec.pad_token_id, np.int32))
    positions = np.concatenate([pack["positions"].numpy()[:, tokens], np.zeros((3, padding), np.int32)], 1)
    ends = np.cumsum([0, *lengths])
    feature_of = np.zeros(len(pack["ids"]), np.int64)
    feature_of[pack["image_rows"].numpy()] = pack["feature_rows"].numpy()
    image_rows = np.flatnonzero(ids == spec.image_token_id)
    built = PromptPack(
        {name: pack[name] for name in _VISION if name in pack},
        ids,
        positions,
        np.append(ends, len(ids)).astype(np.int32),
        int(max(*lengths, padding, 1)),
        image_rows,
        feature_of[tokens[image_rows]],
        np.append(np.repeat(np.arange(len(prompts)), lengths), np.full(padding, len(prompts))),
        ends[1:] - 1,
        lengths,
        np.array([positions[:, end - 1].max() + 1 - length for end, length in zip(ends[1:], lengths, strict=True)]),
    )
    return built if size is None else _padded(built, size)


_VISION = (
    "patches", "cells", "image_ends", "longest_image", "window_ends", "longest_window", "table_index", "table_weight"
)  # fmt: skip


def _padded(pack: PromptPack, size: int) -> PromptPack:
    """The pack with all shapes those of its size, and all numbers that only describe shapes as large as they can be."""
    vision = dict(pack.vision)
    patches = len(vision["patches"])
    bounds = {"image_ends": (GRAPH_ROWS + 2, "longest_image"), "window_ends": (size // 4 + 2, "longest_window")}
    for name, (count, longest) in bounds.items():
        if name in vision:
            vision[name] = torch.from_numpy(_filled(vision[name].numpy(), max(count, len(vision[name])), patches))
            vision[longest] = patches
    return replace(
        pack,
        vision=vision,
        ends=_filled(pack.ends, GRAPH_ROWS + 2, size),
        longest=size,
        image_rows=_filled(pack.image_rows, size, size - 1),
        feature_rows=_filled(pack.feature_rows, size, 0),
        last=_filled(pack.last, GRAPH_ROWS, size - 1),
    )


def _filled(values: np.ndarray, count: int, value: int) -> np.ndarray:
    return np.append(values, np.full(count - len(values), value)).astype(values.dtype)


def tensors_of(pack: PromptPack) -> dict[str, Tensor]:
    """What a prefill reads of the pack, by name."""
    names = ("token_ids", "positions", "ends", "image_rows", "feature_rows", "last")
    arrays = {name: torch.from_numpy(getattr(pack, name)) for name in names}
    return arrays | {f"vision.{name}": value for name, value in pack.vision.items() if isinstance(value, Tensor)}
