"""Bounds of the segments of a pack: samples of the language model, or images and windows of the vision tower.

# T = tokens, S = segments, M = the longest segment
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from texlens.kernels.attention.prefixes import Prefixes

_MIN_MAX_SEQLEN = 512


@dataclass(frozen=True)
class Segments:
    """Segments of a sequence of T tokens, in the forms that `attend` needs.

    Args:
        cu_seqlens: int32, cumulative lengths from 0 to T.
        max_seqlen: an upper bound of a segment's length.
        padded_index: the token at each place of the segments padded to M; a GPU needs it for 32 bits without Triton
            alone (`padded`).
        token_index: the places, counted through all padded segments, that hold a token.
        is_token: whether a place of the padded segments holds a token.
        prefixes: where segments share prefixes; they have a padded form of their own.
    """

    cu_seqlens: Int[Tensor, " bounds"]
    max_seqlen: int
    padded_index: Int[Tensor, "S M"] | None = None
    token_index: Int[Tensor, " T"] | None = None
    is_token: Bool[Tensor, "S M"] | None = None
    prefixes: Prefixes | None = None
    _offsets: dict[int, Tensor] = field(default_factory=dict, repr=False, compare=False)
    _padded: "list[Segments]" = field(default_factory=list, repr=False, compare=False)

    def offsets(self, tokens: int) -> Int[Tensor, " T"]:
        """Each token's place in its segment, computed once; those after the last bound are counted from there."""
        if tokens not in self._offsets:
            self._offsets[tokens] = offsets_of(self.cu_seqlens, tokens)
        return self._offsets[tokens]

    def padded(self) -> "Segments":
        """With the padded form, computed once; waits for the device."""
        if self.padded_index is not None:
            return self
        if not self._padded:
            self._padded.append(_padded_segments(self.cu_seqlens, int(torch.diff(self.cu_seqlens).max())))
        return self._padded[0]

    @property
    def kernel_options(self) -> dict[str, Prefixes]:
        """Keyword arguments of the attention kernels."""
        return {} if self.prefixes is None else {"prefixes": self.prefixes}


def offsets_of(cu_seqlens: Int[Tensor, " bounds"], tokens: int) -> Int[Tensor, " T"]:
    """Each token's place in its segment; those after the last bound are counted from there."""
    at = torch.arange(tokens, device=cu_seqlens.device, dtype=cu_seqlens.dtype)
    segment = torch.searchsorted(cu_seqlens.contiguous(), at, right=True) - 1
    return at - cu_seqlens[segment]


def branched_segments(prefixes: Prefixes) -> Segments:
    """Segments of which some share a prefix."""
    return Segments(prefixes.cu_seqlens, prefixes.longest, prefixes=prefixes)


def make_segments(cu_seqlens: Int[Tensor, " bounds"], longest: int) -> Segments:
    """
    Args:
        cu_seqlens: int32 [S + 1], ascending from 0; trailing segments may be empty.
        longest: length of the longest segment; on a GPU it is rounded up to a power of two, since too small a value
            silently ruins gradients and each new value may mean a new plan of the kernel.
    """
    if cu_seqlens.is_cuda:
        return Segments(cu_seqlens, max(_MIN_MAX_SEQLEN, 1 << (longest - 1).bit_length()))
    return _padded_segments(cu_seqlens, longest)


def _padded_segments(cu_seqlens: Int[Tensor, " bounds"], longest: int) -> Segments:
    starts, lengths = cu_seqlens[:-1].long(), (cu_seqlens[1:] - cu_seqlens[:-1]).long()
    steps = torch.arange(longest, device=cu_seqlens.device)
    is_token = steps < lengths[:, None]
    padded_index = (starts[:, None] + steps).clamp(max=max(int(cu_seqlens[-1]) - 1, 0))
    return Segments(cu_seqlens, longest, padded_index, is_token.flatten().nonzero()[:, 0], is_token)
