"""Packs that come back: only old ones, the same labels, other ink."""

import time

import pytest
import torch
from pretraining.replay import PacksAhead, Replay, other_ink

ENDS = torch.tensor([0, 3, 5, 5])


def pack(number: int) -> dict:
    patches = torch.full((5, 64), 255, dtype=torch.uint8)
    patches[:, number : number + 4] = 0
    return {"patches": patches, "image_ends": ENDS, "labels": torch.tensor([number])}


def test_packs_come_in_order_and_the_loader_s_error_after_them():
    def loader():
        yield from map(pack, range(6))
        raise OSError("no more")

    packs, numbers = PacksAhead(loader()), []
    while not packs.is_ready:
        time.sleep(0.001)
    with pytest.raises(OSError, match="no more"):
        numbers.extend(int(each["labels"]) for each in packs)
    assert numbers == [0, 1, 2, 3, 4, 5]
    assert list(PacksAhead([])) == []


def test_nothing_comes_back_before_as_many_packs_are_there_as_are_kept():
    replay = Replay(0, most=4)
    for number in range(3):
        replay.keep(pack(number))
        assert replay.again() is None


def test_only_the_older_half_comes_back_with_its_labels():
    replay = Replay(0, most=4)
    for number in range(6):
        replay.keep(pack(number))
    returned = {int(replay.again()["labels"]) for _ in range(40)}
    assert returned == {2, 3}


def test_ink_changes_and_stays_darker_than_paper():
    original = pack(0)["patches"]
    changed = other_ink(original, ENDS, seed=3)
    assert changed.dtype == torch.uint8
    assert not torch.equal(changed, original)
    ink, paper = changed[original == 0].float(), changed[original == 255].float()
    assert ink.mean() + 100 < paper.mean()


def test_each_image_has_one_level_of_its_own():
    black = torch.zeros(5, 64, dtype=torch.uint8)
    means = other_ink(black, ENDS, seed=5).float().mean(1)
    assert means[:3].std() < 3
    assert abs(means[0] - means[4]) > 3


def test_the_same_seed_gives_the_same_ink():
    patches = pack(1)["patches"]
    assert torch.equal(other_ink(patches, ENDS, 7), other_ink(patches, ENDS, 7))
