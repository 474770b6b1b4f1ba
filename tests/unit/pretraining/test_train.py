"""The learning rate's shape, the stages, and patch weights that see color as gray."""

import torch
from pretraining.replay import Replay
from pretraining.train import Plan, fold_channels, optimizers, restore, save, with_replay
from safetensors.torch import load_file

from texlens.models.bundled import NANO_FOLDER


def test_the_rate_warms_up_stays_and_falls_to_one_percent():
    plan = Plan(rate=1.0, warm_up_steps=10, decay_from=0.5)
    assert plan.rate_at(0.0, 0) == 0.1
    assert plan.rate_at(0.4, 50) == 1.0
    assert abs(plan.rate_at(1.0, 500) - 0.01) < 1e-9


def test_stages_follow_the_share_of_time():
    plan = Plan(first_until=0.1, second_until=0.5)
    assert [plan.stage(share) for share in (0.05, 0.3, 0.9)] == [0, 1, 2]


class Packs(list):
    """Packs, and whether the next one is there."""

    is_ready = False


def numbered(count: int) -> Packs:
    ends = torch.tensor([0, 2])
    return Packs(
        {"patches": torch.zeros(2, 64, dtype=torch.uint8), "image_ends": ends, "ids": torch.tensor(n), "samples": 7}
        for n in range(count)
    )


def test_while_no_new_pack_is_ready_earlier_ones_come_again_and_count_no_samples():
    order = [(int(pack["ids"]), samples) for pack, samples in with_replay(numbered(6), Replay(1, most=2), 1, "cpu")]
    assert order == [(0, 7), (1, 7), (0, 0), (2, 7), (1, 0), (3, 7), (2, 0), (4, 7), (3, 0), (5, 7), (4, 0)]
    twice = [samples for _, samples in with_replay(numbered(4), Replay(1, most=2), 2, "cpu")]
    assert twice == [7, 7, 0, 0, 7, 0, 0, 7, 0, 0]


def test_no_pack_comes_again_while_new_ones_are_ready_or_without_a_buffer():
    packs = numbered(5)
    packs.is_ready = True
    assert [samples for _, samples in with_replay(packs, Replay(1, most=2), 1, "cpu")] == [7] * 5
    assert [samples for _, samples in with_replay(numbered(3), None, 1, "cpu")] == [7] * 3


def test_folded_patch_weights_give_gray_images_the_same_and_colors_their_gray():
    weight = torch.randn(4, 3, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    folded = fold_channels("visual.patch_embed.proj.weight", weight)
    assert torch.allclose(folded.sum((1, 2)), weight.sum((1, 2)), atol=1e-5)
    ratio = folded[:, 1] / folded[:, 0]
    assert torch.allclose(ratio, torch.full_like(ratio, 0.587 / 0.299))
    assert fold_channels("other.weight", weight) is weight


def test_the_shipped_weights_are_there():
    assert (NANO_FOLDER / "model.safetensors").is_file()


def small_model(seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.LayerNorm(6), torch.nn.Linear(6, 2))


def trained(model: torch.nn.Module, groups: list, steps: range) -> torch.nn.Module:
    for step in steps:
        inputs = torch.randn(8, 4, generator=torch.Generator().manual_seed(step))
        model(inputs).square().mean().backward()
        for optimizer in groups:
            optimizer.step()
            optimizer.zero_grad()
    return model


def test_a_call_goes_on_where_the_one_before_it_ended(tmp_path):
    whole = small_model(0)
    trained(whole, optimizers(whole, 1e-2), range(6))

    first = small_model(0)
    groups = optimizers(first, 1e-2)
    trained(first, groups, range(3))
    save(tmp_path, first, groups, {"step": 3, "seconds": 1.5, "samples": 24, "calls": 1})
    second = small_model(1)
    groups = optimizers(second, 1e-2)
    done = restore(tmp_path / "state.pt", second, groups, "cpu")
    trained(second, groups, range(done["step"], 6))

    assert done == {"step": 3, "seconds": 1.5, "samples": 24, "calls": 1}
    for name, value in whole.state_dict().items():
        assert torch.equal(second.state_dict()[name], value), name
    stored = load_file(tmp_path / "model.safetensors")
    assert {value.dtype for value in stored.values()} == {torch.float16}
