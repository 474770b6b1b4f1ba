"""Pages of the key-value cache."""

import pytest
import torch

from texlens.inference.engine.cache import PAGE_SIZE, PagedCache, pages_for, positions_of


def test_pages_are_reserved_and_released():
    cache = PagedCache(1, 1, 2, pages=3, dtype=torch.float32, device=torch.device("cpu"))
    pages = cache.reserve(2)

    assert 0 not in pages
    assert cache.free_pages == 1
    with pytest.raises(ValueError, match="2 pages wanted, 1 free"):
        cache.reserve(2)
    cache.release(pages)
    assert cache.free_pages == 3


def test_positions_follow_the_pages():
    assert pages_for(PAGE_SIZE + 1) == 2
    assert positions_of([5, 2], PAGE_SIZE + 1).tolist() == [*range(160, 192), 64]
