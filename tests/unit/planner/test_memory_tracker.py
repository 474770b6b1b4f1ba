import torch
from torch import nn

from texlens.planner.memory_tracker import MemoryTracker


def test_live_and_peak_follow_allocations_and_releases():
    with MemoryTracker() as tracker:
        first = torch.empty(1024, device="meta")
        second = torch.empty(2048, device="meta")
        del first
    assert (tracker.live, tracker.peak) == (8192, 12288)
    del second
    assert tracker.live == 0


def test_a_view_costs_nothing_and_small_tensors_take_a_block():
    with MemoryTracker() as tracker:
        tensor = torch.empty(3, device="meta")
        view = tensor.view(1, 3)
    assert tracker.peak == 512
    assert view.shape == (1, 3)


def test_peak_is_divided_by_tag():
    with MemoryTracker() as tracker:
        tensor = torch.empty(256, device="meta")
        with tracker.tagged("loss"):
            torch.empty(512, device="meta")
    assert tracker.peak_parts == {"inputs": 1024, "loss": 2048}
    assert tensor.numel() == 256


def test_flops_and_traffic_of_a_linear_layer_are_counted():
    layer = nn.Linear(8, 16, bias=False, device="meta")
    with MemoryTracker() as tracker:
        layer(torch.empty(4, 8, device="meta"))
    flops, nbytes = tracker.work[-1]
    assert flops == 2 * 4 * 8 * 16
    assert nbytes == 4 * (4 * 8 + 8 * 16 + 4 * 16)
