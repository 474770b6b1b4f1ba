"""Segments that share a prefix: several answers (branches) continue one prompt, which is in the sequence once.

A branch attends to its prefix and to itself, not to the other branches; all branches follow their prefix directly.

# T = tokens, S = segments (prefixes, branches and plain rows), B = branches, M, P = longest segment, longest prefix
"""

from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Bool, Int, Int32
from torch import Tensor


@dataclass(frozen=True)
class Prefixes:
    """
    Args:
        cu_seqlens: int32, bounds of all segments, from 0 to T.
        starts, ends: of the tokens before each segment that it attends to; equal where there are none.
        group_ends: the end of the last token that attends to a segment's keys: its own end, or for a prefix the end of
            its last branch.
        longest, longest_prefix: lengths, upper bounds.

    Example:
        a prefix of 3 tokens with branches of 2 and 1, then a plain row of 2:
        cu_seqlens = [0, 3, 5, 6, 8], starts = [0, 0, 0, 6], ends = [0, 3, 3, 6], group_ends = [6, 5, 6, 8]
    """

    cu_seqlens: Int32[Tensor, " bounds"]
    starts: Int32[Tensor, " S"]
    ends: Int32[Tensor, " S"]
    group_ends: Int32[Tensor, " S"]
    longest: int
    longest_prefix: int
    _borders: dict[int, "BranchBorders"] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def padded(self) -> "PaddedBranches":
        """Segments side by side, each with the keys of its prefix before its own."""
        return _padded(self)

    @cached_property
    def passes(self) -> "TwoPasses":
        """What a recurrence needs, whose branches begin in the state that their prefix ends in."""
        return _two_passes(self)

    def borders(self, reach: int) -> "BranchBorders":
        """The tokens `reach` places and less before and after the beginning of each branch, computed once."""
        if reach not in self._borders:
            self._borders[reach] = _borders(self, reach)
        return self._borders[reach]

    def segment_of(self, tokens: int) -> Int[Tensor, " T"]:
        """The segment of each token."""
        at = torch.arange(tokens, device=self.cu_seqlens.device, dtype=torch.int32)
        return torch.searchsorted(self.cu_seqlens[1:].contiguous(), at, right=True).clamp(max=len(self.starts) - 1)

    def tokens_before(self, back: int, tokens: int) -> tuple[Int[Tensor, " T"], Bool[Tensor, " T"]]:
        """The token `back` places before each token, in its prefix where its segment begins later, and whether there is
        one; 0 where not."""
        segment = self.segment_of(tokens)
        at = torch.arange(tokens, device=segment.device)
        in_segment = at - back >= self.cu_seqlens[:-1][segment]
        in_prefix = self.ends[segment] - (back - (at - self.cu_seqlens[:-1][segment]))
        exists = in_segment | (in_prefix >= self.starts[segment]) & (self.ends > self.starts)[segment]
        return torch.where(in_segment, at - back, in_prefix).masked_fill(~exists, 0).long(), exists


@dataclass(frozen=True)
class PaddedBranches:
    """
    Args:
        query_index, key_index: the token at each place.
        is_query, is_key: whether the place holds a token.
        mask: which keys a query attends to.
        token_index: where each token is among the flattened queries.
    """

    query_index: Int[Tensor, "S M"]
    key_index: Int[Tensor, "S keys"]
    is_query: Bool[Tensor, "S M"]
    is_key: Bool[Tensor, "S keys"]
    mask: Bool[Tensor, "S 1 M keys"]
    token_index: Int[Tensor, " T"]


@dataclass(frozen=True)
class TwoPasses:
    """
    Args:
        roots, branches: tokens of the segments without a prefix, and of those with one.
        root_bounds, branch_bounds: of their segments.
        root_of: for each branch the number of its prefix among the roots.
        number_of_branch: for each branch its number among the segments.
    """

    roots: Int[Tensor, " roots"]
    branches: Int[Tensor, " branches"]
    root_bounds: Int32[Tensor, " root_bounds"]
    branch_bounds: Int32[Tensor, " branch_bounds"]
    root_of: Int[Tensor, " B"]
    number_of_branch: Int[Tensor, " B"]


@dataclass(frozen=True)
class BranchBorders:
    """
    Args:
        before: the last R tokens of each root, its first one where it has fewer.
        windows: the last R tokens of each branch's prefix, then the first R of the branch; 0 where there is none.
        exists: whether there is one.
        first: the tokens among them that are in a branch.
        places: where those are among all [B * R].
    """

    before: Int[Tensor, "roots R"]
    windows: Int[Tensor, "B R+R"]
    exists: Bool[Tensor, "B R+R"]
    first: Int[Tensor, " n"]
    places: Int[Tensor, " n"]


def _padded(prefixes: Prefixes) -> PaddedBranches:
    starts, ends = prefixes.cu_seqlens[:-1].long(), prefixes.cu_seqlens[1:].long()
    device = starts.device
    last = (ends[-1:] - 1).clamp(min=0)
    places, prefix_places = (
        torch.arange(count, device=device) for count in (prefixes.longest, prefixes.longest_prefix)
    )
    is_query = places < (ends - starts)[:, None]
    is_prefix = prefix_places < (prefixes.ends - prefixes.starts)[:, None]
    query_index = torch.minimum(starts[:, None] + places, last)
    prefix_index = torch.minimum(prefixes.starts.long()[:, None] + prefix_places, last)
    causal = places <= places[:, None]
    # Padded queries attend to themselves, so that no row is without a key.
    mask = torch.cat([is_prefix[:, None].expand(-1, len(places), -1), causal.expand(len(starts), -1, -1)], -1)
    segment = torch.repeat_interleave(ends - starts)
    token_index = segment * len(places) + torch.arange(len(segment), device=device) - starts[segment]
    return PaddedBranches(
        query_index,
        torch.cat([prefix_index, query_index], 1),
        is_query,
        torch.cat([is_prefix, is_query], 1),
        mask[:, None],
        token_index,
    )


def _two_passes(prefixes: Prefixes) -> TwoPasses:
    lengths = prefixes.cu_seqlens.diff()
    is_branch = prefixes.ends > prefixes.starts
    segment = torch.repeat_interleave(lengths.long())
    of_branch = is_branch[segment]
    roots, branches = (~of_branch).nonzero()[:, 0], of_branch.nonzero()[:, 0]
    number = (~is_branch).cumsum(0) - 1
    prefix_segment = torch.searchsorted(prefixes.cu_seqlens[1:].contiguous(), prefixes.starts, right=True)
    return TwoPasses(
        roots,
        branches,
        _bounds(lengths[~is_branch]),
        _bounds(lengths[is_branch]),
        number[prefix_segment[is_branch]],
        is_branch.nonzero()[:, 0],
    )


def _borders(prefixes: Prefixes, reach: int) -> BranchBorders:
    passes, back = prefixes.passes, torch.arange(reach, device=prefixes.ends.device)
    starts, lengths = prefixes.cu_seqlens[:-1].long(), prefixes.cu_seqlens.diff().long()
    of_branch = (part[passes.number_of_branch, None] for part in (starts, lengths, prefixes.starts, prefixes.ends))
    start, length, prefix_start, prefix_end = of_branch
    before, after = prefix_end - reach + back, start + back
    exists = torch.cat([before >= prefix_start, back < length], 1)
    windows = torch.cat([before, after], 1).masked_fill(~exists, 0).long()
    is_root = prefixes.ends == prefixes.starts
    first = starts[is_root, None]
    last = torch.maximum(first + lengths[is_root, None] - reach + back, first)
    places = exists[:, reach:].flatten().nonzero()[:, 0]
    return BranchBorders(last, windows, exists, windows[:, reach:].flatten()[places], places)


def _bounds(lengths: Tensor) -> Tensor:
    return torch.nn.functional.pad(lengths.cumsum(0), (1, 0)).int()
