import torch

from texlens.kernels.delta_rule.chunks import chunks_of


def test_chunks_begin_with_their_segment():
    chunks = chunks_of(torch.tensor([0, 3, 3, 5]), 6, size=2)
    assert chunks.index.tolist() == [[0, 1], [2, 3], [3, 4]]
    assert chunks.is_token.tolist() == [[True, True], [True, False], [True, True]]
    assert chunks.counts.tolist() == [2, 0, 1]
    assert chunks.first.tolist() == [0, 2, 2]
    assert chunks.flat_index.tolist() == [0, 1, 2, 4, 5, 0]
    assert chunks.longest == 2
    assert chunks.segments_at(0).tolist() == [0, 2]
    assert chunks.segments_at(1).tolist() == [0]
