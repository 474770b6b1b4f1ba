"""Extra columns of adapters."""

import torch

from texlens.kernels.adapter import Adapter, padded_ranks


def test_rows_with_their_extra_columns_are_multiples_of_sixteen():
    empty = torch.empty(0)
    adapters = [
        Adapter(empty, empty, 1.0, slice(0, 4), slice(0, 5)),
        Adapter(empty, empty, 1.0, slice(4, 8), slice(5, 9)),
    ]
    assert padded_ranks([]) == 0
    assert padded_ranks(adapters) == 16
    assert padded_ranks(adapters, routers=8) == 32
    assert padded_ranks(adapters, width=32) == 16
    assert padded_ranks(adapters, width=3420) == 20
