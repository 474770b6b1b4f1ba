"""Which rows have one prompt, and what is copied to them in the cache."""

import torch

from texlens.inference.engine.cache import PAGE_SIZE, PagedCache
from texlens.inference.engine.shared_prompts import copies_of, distinct


def test_rows_with_one_key_have_the_first_of_them_as_their_source():
    assert distinct(["a0", "b0", "a1", "c0"], lambda row: row[0]) == (["a0", "b0", "c0"], [0, 1, 0, 2])


def test_a_prompt_is_copied_from_the_pages_of_its_first_row_to_those_of_the_others():
    copies = copies_of([[2], [4], [1, 3]], [7, 8, 9], [2, PAGE_SIZE], [0, 0, 1])
    assert copies["copies.source"].tolist() == [2 * PAGE_SIZE, 2 * PAGE_SIZE + 1]
    assert copies["copies.target"].tolist() == [4 * PAGE_SIZE, 4 * PAGE_SIZE + 1]
    assert copies["copies.source_slots"].tolist() == [7]
    assert copies["copies.target_slots"].tolist() == [8]
    assert copies["prompt_of_row"].tolist() == [0, 0, 1]


def test_copied_positions_hold_what_their_sources_hold_in_every_layer():
    cache = PagedCache(2, 1, 4, pages=3, dtype=torch.float32, device=torch.device("cpu"))
    cache.keys[:, PAGE_SIZE] = torch.tensor([[1.0], [2.0]])[:, :, None]
    cache.values[:, PAGE_SIZE] = 3.0
    slots = torch.zeros(0, dtype=torch.int64)
    cache.copy(torch.tensor([PAGE_SIZE]), torch.tensor([3 * PAGE_SIZE + 5]), slots, slots)
    assert cache.keys[:, 3 * PAGE_SIZE + 5, 0, 0].tolist() == [1.0, 2.0]
    assert cache.values[:, 3 * PAGE_SIZE + 5].unique().tolist() == [3.0]
    assert cache.keys.count_nonzero() == 16
