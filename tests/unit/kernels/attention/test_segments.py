"""Segments of a pack, in the forms that attention needs."""

import torch

from texlens.kernels.attention.segments import make_segments, offsets_of


def test_segments_are_padded_to_the_longest():
    bounds = torch.tensor([0, 3, 5, 5], dtype=torch.int32)
    segments = make_segments(bounds, 3)
    assert segments.max_seqlen == 3
    assert segments.is_token.tolist() == [[True, True, True], [True, True, False], [False, False, False]]
    assert segments.padded_index[0].tolist() == [0, 1, 2]
    assert segments.padded_index[1, :2].tolist() == [3, 4]
    assert segments.padded_index.max() < 5
    assert segments.token_index.tolist() == [0, 1, 2, 3, 4]


def test_tokens_come_back_from_their_padded_places():
    bounds = torch.tensor([0, 2, 6], dtype=torch.int32)
    segments, x = make_segments(bounds, 4), torch.arange(6)
    padded = x[segments.padded_index].flatten()
    assert padded[segments.token_index].tolist() == x.tolist()


def test_offsets_count_within_segments():
    assert offsets_of(torch.tensor([0, 2, 2, 5]), 7).tolist() == [0, 1, 0, 1, 2, 0, 1]


def test_offsets_are_computed_once():
    segments = make_segments(torch.tensor([0, 2, 5], dtype=torch.int32), 3)
    assert segments.offsets(5).tolist() == [0, 1, 0, 1, 2]
    assert segments.offsets(5) is segments.offsets(5)
