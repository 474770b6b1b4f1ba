"""A step that did not fit is run again in smaller packs, with one line."""

from dataclasses import replace

import pytest
import torch

from tests.fixtures.tiny_models import tiny_model
from tests.unit.models.packed.packs import ROWS, pack_of
from texlens.models.packed.forward import pack_spec, packed_forward
from texlens.training.backends.packed import PackedBackend
from texlens.training.backends.smaller_packs import SmallerPacks


def failing_above(tokens: int, calls: list):
    def run(packs):
        calls.append([pack["tokens"] for pack in packs])
        if max(calls[-1]) > tokens:
            raise torch.OutOfMemoryError("no room")
        return sum(calls[-1])

    return run


def test_packs_are_halved_until_they_fit_and_stay_small():
    model, processor = tiny_model("qwen3_vl")
    pack = pack_of(model, processor)
    lines, cleared, calls = [], [], []
    retry = SmallerPacks(4, warn=lines.append, clear=lambda: cleared.append(1))
    packs, total = retry([pack], failing_above(pack["tokens"] // 2 + 40, calls))
    assert total == pack["tokens"]
    assert len(packs) > 1
    assert len(lines) == len(cleared) == len(calls) - 1
    assert "out of memory: packs of at most" in lines[0]
    calls.clear()
    retry([pack], failing_above(pack["tokens"] // 2 + 40, calls))
    assert len(calls) == 1


def test_a_row_that_does_not_fit_alone_is_an_error():
    model, processor = tiny_model("qwen3_vl")
    with pytest.raises(torch.OutOfMemoryError):
        SmallerPacks(4, warn=lambda line: None)([pack_of(model, processor, ROWS[:1])], failing_above(1, []))


class _TooLarge:
    def __init__(self, forward, tokens: int):
        self._forward, self.tokens = forward, tokens

    def loss(self, pack):
        if pack["tokens"] > self.tokens:
            raise torch.OutOfMemoryError("no room")
        return self._forward.loss(pack)


def test_a_validation_that_does_not_fit_has_the_same_loss_in_smaller_packs():
    model, processor = tiny_model("qwen3_vl")
    pack, lines = pack_of(model, processor), []
    backend = PackedBackend(packed_forward(model, processor.geometry), pack_spec(model.config, processor), 4096, 2)
    small = replace(
        backend,
        forward=_TooLarge(backend.forward, pack["tokens"] // 2 + 40),
        retry=SmallerPacks(4, warn=lines.append),
    )
    batch = {"packs": [pack], "label_count": pack["label_count"]}
    whole, cut = (each.eval_loss(model, batch) for each in (backend, small))
    assert len(lines) == 1
    assert [cut[0].item(), cut[1].item()] == pytest.approx([whole[0].item(), whole[1].item()], rel=1e-5)
