import torch

from texlens.planner.memory_tracker import MemoryTracker


def test_real_mask_decides_how_many_rows_are_selected():
    with MemoryTracker():
        selected = torch.empty(4, 8, device="meta")[torch.tensor([True, False, True, True])]
    assert selected.shape == (3, 8)


def test_gradient_of_selected_rows_is_written_into_zeros_with_one_copy_of_these_rows():
    """As on a GPU; a dispatch mode alone would allocate a second tensor for all rows."""
    table, selected, row = torch.empty(256, 128, device="meta", requires_grad=True), torch.arange(256) < 64, 512
    with MemoryTracker() as tracker:
        tracker.track(table)
        loss = table[selected].exp().sum()
        tracker.peak = 0
        loss.backward()
    assert tracker.peak == row * (256 + 256 + 64 + 64) + 2 * 512
