"""The learning rate's shape, the stages, and patch weights that see color as gray."""

import torch
from pretraining.replay import Replay
from pretraining.train import Plan, fold_channels, with_replay

from texlens.models.bundled import NANO_FOLDER


def test_the_rate_warms_up_stays_and_falls_to_one_percent():
    plan = Plan(rate=1.0, warm_up_steps=10, decay_from=0.5)
    assert plan.rate_at(0.0, 0) == 0.1
    assert plan.rate_at(0.4, 50) == 1.0
    assert abs(plan.rate_at(1.0, 500) - 0.01) < 1e-9


def test_stages_follow_the_share_of_time():
    plan = Plan(first_until=0.1, second_until=0.5)
    assert [plan.stage(share) for share in (0.05, 0.3, 0.9)] == [0, 1, 2]


def test_each_new_pack_is_followed_by_an_earlier_one_that_counts_no_samples():
    ends = torch.tensor([0, 2])
    loader = [
        {"patches": torch.zeros(2, 64, dtype=torch.uint8), "image_ends": ends, "ids": torch.tensor(n), "samples": 7}
        for n in range(6)
    ]
    order = [(int(pack["ids"]), samples) for pack, samples in with_replay(loader, Replay(1, most=2), 1, "cpu")]
    assert order == [(0, 7), (1, 7), (0, 0), (2, 7), (1, 0), (3, 7), (2, 0), (4, 7), (3, 0), (5, 7), (4, 0)]
    loader = [dict(loader[0], samples=7)]
    assert [samples for _, samples in with_replay(loader, None, 1, "cpu")] == [7]


def test_folded_patch_weights_give_gray_images_the_same_and_colors_their_gray():
    weight = torch.randn(4, 3, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    folded = fold_channels("visual.patch_embed.proj.weight", weight)
    assert torch.allclose(folded.sum((1, 2)), weight.sum((1, 2)), atol=1e-5)
    ratio = folded[:, 1] / folded[:, 0]
    assert torch.allclose(ratio, torch.full_like(ratio, 0.587 / 0.299))
    assert fold_channels("other.weight", weight) is weight


def test_the_shipped_weights_are_there():
    assert (NANO_FOLDER / "model.safetensors").is_file()
