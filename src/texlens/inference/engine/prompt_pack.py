"""Prompts as a pack: an image that several rows read (by base and adapter, say) is in it once.

# T = tokens, B = rows, I = image tokens
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from texlens.inputs.example import Example
from texlens.inputs.pack import PackLayout, lay


@dataclass(frozen=True)
class PromptPack:
    """`vision` is a pack of the different prompts, for the vision tower; the rest is of the rows, in their order.

    `token_ids` int32 [T], `positions` int32 [3, T], `ends` int32 [B + 2] (the last segment is padding), `image_rows`
    int64 [I], `feature_rows` int64 [I], `rows` int64 [T] (each token's row; padding has B), `lengths` of the rows, and
    `offsets`: what is added to a row's length for the M-RoPE position of its next token.
    """

    vision: dict[str, Any]
    token_ids: Tensor
    positions: Tensor
    ends: Tensor
    longest: int
    image_rows: Tensor
    feature_rows: Tensor
    rows: Tensor
    lengths: np.ndarray
    offsets: np.ndarray


def build_prompt_pack(prompts: Sequence[Example], layout: PackLayout) -> PromptPack:
    """
    Args:
        prompts: of each row; rows that share a prompt hold the same object. Patches are raw (uint8).
    """
    unique = list({id(prompt): prompt for prompt in prompts}.values())
    places = {id(prompt): place for place, prompt in enumerate(unique)}
    pack = lay(unique, layout)
    starts = pack["text_ends"].numpy()
    spans = [(starts[places[id(prompt)]], len(prompt)) for prompt in prompts]
    tokens = np.concatenate([start + np.arange(length) for start, length in spans])
    lengths = np.array([length for _, length in spans])
    padding = -len(tokens) % layout.token_multiple
    ids = np.append(pack["ids"].numpy()[tokens], np.full(padding, layout.pad_token_id, np.int32))
    positions = np.concatenate([pack["positions"].numpy()[:, tokens], np.zeros((3, padding), np.int32)], 1)
    ends = np.cumsum([0, *lengths])
    feature_of = np.zeros(len(pack["ids"]), np.int64)
    feature_of[pack["image_rows"].numpy()] = pack["feature_rows"].numpy()
    image_rows = np.flatnonzero(ids == layout.image_token_id)
    return PromptPack(
        pack,
        torch.from_numpy(ids),
        torch.from_numpy(positions),
        torch.from_numpy(np.append(ends, len(ids)).astype(np.int32)),
        int(max(*lengths, padding, 1)),
        torch.from_numpy(image_rows),
        torch.from_numpy(feature_of[tokens[image_rows]]),
        torch.from_numpy(np.append(np.repeat(np.arange(len(prompts)), lengths), np.full(padding, len(prompts)))),
        lengths,
        np.array([positions[:, end - 1].max() + 1 - length for end, length in zip(ends[1:], lengths, strict=True)]),
    )
