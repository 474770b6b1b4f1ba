"""Extra columns of adapters."""

import torch

from texlens.kernels.adapter import Adapter, padded_ranks


def test_ranks_are_padded_to_a_multiple_of_eight():
    empty = torch.empty(0)
    adapters = [
        Adapter(empty, empty, 1.0, slice(0, 4), slice(0, 5)),
        Adapter(empty, empty, 1.0, slice(4, 8), slice(5, 9)),
    ]
    assert padded_ranks([]) == 0
    assert padded_ranks(adapters) == 16
    assert padded_ranks(adapters[:1]) == 8
    assert padded_ranks(adapters, routers=8) == 24
