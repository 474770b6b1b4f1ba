"""How rows are divided; that FSDP divides alike, and what layers give, is in tests/integration/test_divided.py."""

import pytest
import torch

from texlens.models.sharding.layers import chunk


@pytest.mark.parametrize(("length", "processes"), [(10, 4), (3, 4), (8, 2), (1, 1), (9, 8)])
def test_rows_are_divided_as_by_torch(length, processes):
    parts = torch.arange(length).chunk(processes)
    for rank in range(processes):
        rows = torch.arange(length)[chunk(length, rank, processes)]
        assert rows.tolist() == (parts[rank].tolist() if rank < len(parts) else [])
