import torch
from torch import nn

from texlens.planner.meter import Meter


def test_live_and_peak_follow_what_is_made_and_dropped():
    with Meter() as meter:
        first = torch.empty(1024, device="meta")
        second = torch.empty(2048, device="meta")
        del first
    assert (meter.live, meter.peak) == (8192, 12288)
    del second
    assert meter.live == 0


def test_a_view_costs_nothing_and_small_tensors_take_a_block():
    with Meter() as meter:
        tensor = torch.empty(3, device="meta")
        view = tensor.view(1, 3)
    assert meter.peak == 512
    assert view.shape == (1, 3)


def test_parts_at_the_peak_are_told_by_tag():
    with Meter() as meter:
        kept = torch.empty(256, device="meta")
        with meter.tagged("loss"):
            torch.empty(512, device="meta")
    assert meter.peak_parts == {"inputs": 1024, "loss": 2048}
    assert kept.numel() == 256


def test_products_and_traffic_of_a_linear_layer_are_counted():
    layer = nn.Linear(8, 16, bias=False, device="meta")
    with Meter() as meter:
        layer(torch.empty(4, 8, device="meta"))
    flops, moved = meter.work[-1]
    assert flops == 2 * 4 * 8 * 16
    assert moved == 4 * (4 * 8 + 8 * 16 + 4 * 16)


def test_a_real_mask_decides_how_many_places_are_chosen():
    with Meter():
        chosen = torch.empty(4, 8, device="meta")[torch.tensor([True, False, True, True])]
    assert chosen.shape == (3, 8)


def test_the_gradient_of_chosen_rows_is_written_among_zeros_with_one_copy_of_these_rows():
    """As a GPU does it; a dispatch mode alone would have a second tensor of all rows there."""
    every, chosen, row = torch.empty(256, 128, device="meta", requires_grad=True), torch.arange(256) < 64, 512
    with Meter() as meter:
        meter.hold(every)
        loss = every[chosen].exp().sum()
        meter.peak = 0
        loss.backward()
    assert meter.peak == row * (256 + 256 + 64 + 64) + 2 * 512
