"""The tokens of a pack in chunks that begin with their segment, so that no chunk holds two samples.

# T = tokens, S = segments, N = chunks, C = tokens of a chunk
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

CHUNK = 64


@dataclass(frozen=True)
class Chunks:
    """
    Args:
        index: the token at each place of a chunk; places after a segment's end repeat some token.
        is_token: whether the place holds a token.
        flat_index: where each token is in the flattened chunks.
        first: number of each segment's first chunk.
        counts: chunks of each segment.
    """

    index: Int[Tensor, "N C"]
    is_token: Bool[Tensor, "N C"]
    flat_index: Int[Tensor, " T"]
    first: Int[Tensor, " S"]
    counts: Int[Tensor, " S"]

    @property
    def longest(self) -> int:
        """Chunks of the longest segment."""
        return int(self.counts.max()) if len(self.counts) else 0

    def segments_at(self, step: int) -> Int[Tensor, " active"]:
        """The segments that have a chunk with this number."""
        return (self.counts > step).nonzero()[:, 0]


def chunks_of(cu_seqlens: Int[Tensor, " bounds"], tokens: int, size: int = CHUNK) -> Chunks:
    """
    Args:
        cu_seqlens: ascending from 0; segments may be empty. Tokens after the last bound belong to no chunk, and their
            `flat_index` is 0.
        tokens: T.
    """
    starts, ends = cu_seqlens[:-1].long(), cu_seqlens[1:].long()
    counts = (ends - starts + size - 1) // size
    first = counts.cumsum(0) - counts
    segment = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
    number = torch.arange(len(segment), device=counts.device) - first[segment]
    begin = starts[segment] + number * size
    index = begin[:, None] + torch.arange(size, device=counts.device)
    is_token = index < ends[segment][:, None]
    index = index.clamp(max=max(tokens - 1, 0))
    flat_index = index.new_zeros(tokens)
    flat = is_token.flatten().nonzero()[:, 0]
    flat_index[index.flatten()[flat]] = flat
    return Chunks(index, is_token, flat_index, first, counts)
