"""Graphs of packs give the losses and gradients of packs without; on a CPU a stand-in calls the work again."""

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch

from tests.fixtures.tiny_models import FAMILY_NAMES, tiny_model
from tests.unit.models.packed.packs import ROWS, adapted, examples, worst
from tests.unit.models.packed.test_text import mixture
from texlens.adapters.moe_lora.model import balance_of
from texlens.inputs.image_patches import image_to_raw_patches
from texlens.inputs.pack import PackBucket, _with_cut_padding, build_pack
from texlens.models.packed.forward import pack_spec, packed_forward
from texlens.training.backends.pack_graphs import PackGraphs, shapes_of
from texlens.training.backends.packed_step import packed_step
from texlens.training.distributed.context import SINGLE_PROCESS

SMALL = {"tokens": 64, "patches": 512, "labels": 32, "bounds": 8, "segment": 64, "patches_per_token": 1.0}


SIZES = [
    ("ids", "tokens"),
    ("patches", "patches"),
    ("labels", "labels"),
    ("text_ends", "bounds"),
    ("image_ends", "bounds"),
]


class Recorded:
    """Calls the work at each replay, and leaves its results where the first call left them."""

    def __init__(self, work, balance):
        self.work, self.balance, self.replays = work, balance, 0
        self.results = work()
        self.balance_loss = balance.log.last_loss() if balance else None

    def replay(self):
        self.replays += 1
        with self.balance.log.separately() if self.balance else nullcontext():
            loss, _ = self.work()
            if self.balance:
                self.balance_loss.copy_(self.balance.log.last_loss())
        self.results[0].copy_(loss)


class Recorder:
    def __init__(self, balance=None):
        self.balance, self.graphs = balance, []

    def __call__(self, work):
        self.graphs.append(Recorded(work, self.balance))
        return self.graphs[-1], self.graphs[-1].results


def buckets(model, processor, rows=ROWS, **sizes):
    raw = examples(processor, rows, patchify=image_to_raw_patches)
    return build_pack(raw, replace(pack_spec(model.config, processor), bucket=PackBucket(**{**SMALL, **sizes})))


def grads_of(model):
    grads = {name: part.grad.clone() for name, part in model.named_parameters() if part.grad is not None}
    model.zero_grad()
    return grads


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_padding_to_a_bucket_changes_neither_loss_nor_gradients(family):
    model, processor = tiny_model(family)
    trained = adapted(model, target_modules=r".*(visual\.blocks.*(qkv|proj)|language_model.*(q_proj|o_proj))$")
    forward = packed_forward(trained.base_model.model, processor.geometry, backend="cpu")
    results = []
    for bucket in (None, PackBucket(**SMALL)):
        raw = examples(processor, patchify=image_to_raw_patches)
        pack = build_pack(raw, replace(pack_spec(model.config, processor), bucket=bucket))
        loss = forward.loss(pack)
        loss.backward()
        results.append((pack, loss.detach(), grads_of(trained)))
    (plain, expected, expected_grads), (padded, loss, grads) = results
    assert padded["label_count"] == plain["label_count"] == len(plain["labels"])
    assert [len(padded[name]) % SMALL[size] for name, size in SIZES] == [0] * 5
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)
    assert worst(grads, expected_grads) < 2e-5


def test_packs_of_other_rows_have_equal_shapes_and_long_packs_are_left_alone():
    model, processor = tiny_model("qwen3_vl")
    first, second = buckets(model, processor), buckets(model, processor, ROWS[::-1])
    assert shapes_of(first) == shapes_of(second)
    assert first["ids"].tolist() != second["ids"].tolist()
    assert "in_bucket" not in buckets(model, processor, most_tokens=10)


@pytest.mark.parametrize("kind", ["lora", "moe-lora"])
def test_replayed_steps_equal_steps_without_graphs(kind):
    losses, grads, balance_losses = [], [], []
    for with_graphs in (False, True):
        model, processor = tiny_model("qwen3_vl")
        trained = mixture(model, experts=2) if kind == "moe-lora" else adapted(model).train()
        parameters = [part for part in trained.parameters() if part.requires_grad]
        forward, balance = packed_forward(model, processor.geometry, backend="cpu"), balance_of(trained)
        recorder = Recorder(balance)
        graphs = PackGraphs(forward, recorder) if with_graphs else None
        packs = buckets(model, processor), buckets(model, processor, ROWS[::-1])
        for step in range(3):
            labels = sum(pack["label_count"] for pack in packs)
            outcome = packed_step(forward, packs, labels, parameters, SINGLE_PROCESS, balance=balance, graphs=graphs)
            losses.append(outcome.loss)
            balance_losses += [balance.log.last_loss()] if balance else []
            grads.append(grads_of(trained))
            with torch.no_grad():
                for number, part in enumerate(parameters):
                    part += 0.01 * (step + 1) * torch.sin(torch.arange(part.numel()).view_as(part) + number)
    assert [graph.replays for graph in recorder.graphs] == [6]
    torch.testing.assert_close(torch.stack(losses[3:]), torch.stack(losses[:3]), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(balance_losses[3:], balance_losses[:3])
    for expected, replayed in zip(grads[:3], grads[3:], strict=True):
        assert worst(replayed, expected) < 1e-5


def test_a_pack_that_can_not_be_recorded_runs_without_and_says_so_once():
    model, processor = tiny_model("qwen3_vl")
    trained = adapted(model)
    parameters = [part for part in trained.parameters() if part.requires_grad]

    def failing(work):
        raise RuntimeError("capture is not supported")

    lines = []
    graphs = PackGraphs(packed_forward(model, processor.geometry, backend="cpu"), failing, lines.append)
    pack = buckets(model, processor)
    assert [graphs.loss(pack, 7, parameters, None) for _ in range(3)] == [None] * 3
    assert len(lines) == 1
    assert "capture is not supported" in lines[0]


def test_padding_is_cut_into_short_segments():
    ends = torch.tensor([0, 40, 100, 400], dtype=torch.int32)
    padded = _with_cut_padding(ends, 64, least=0, multiple=8)
    assert padded.tolist() == [0, 40, 100, 164, 228, 292, 356, 400]
    assert padded.dtype == torch.int32
    more = _with_cut_padding(torch.tensor([0, 40, 100], dtype=torch.int32), 64, least=5, multiple=3)
    assert more.tolist() == [0, 40, 100, 100, 100, 100]
