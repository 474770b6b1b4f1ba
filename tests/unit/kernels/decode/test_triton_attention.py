"""Attention over pages compared with the reference, in Triton's interpreter or on a GPU."""

import pytest
import torch

from tests.unit.kernels.decode.test_triton import CAN_RUN, DEVICE, assert_close, drawn
from texlens.kernels.decode import reference

pytestmark = pytest.mark.skipif(not CAN_RUN, reason="needs a GPU, or Triton's interpreter (TRITON_INTERPRET=1)")

if CAN_RUN:
    from texlens.kernels.decode import triton_attention as kernels


@pytest.mark.parametrize(
    ("rows", "heads", "keys", "width"), [(1, 4, 2, 32), (3, 7, 1, 16), (40, 16, 8, 32), (5, 2, 2, 24)]
)
def test_attention_over_pages(rows, heads, keys, width):
    page_size, pages_of_a_row = 8, 20
    pool = rows * pages_of_a_row + 1
    pages = torch.randperm(pool - 1, generator=torch.Generator().manual_seed(1)).view(rows, -1).to(DEVICE).int() + 1
    lengths = torch.randint(1, page_size * pages_of_a_row, (rows,), generator=torch.Generator().manual_seed(2))
    lengths = lengths.to(DEVICE).int()
    cache = drawn(pool * page_size, keys, width, seed=1), drawn(pool * page_size, keys, width, seed=2)
    query = drawn(rows, heads, width, seed=3)

    ours = kernels.attend(query, *cache, pages, lengths, page_size)

    assert_close(ours, reference.attend(query, *cache, pages, lengths, page_size))
