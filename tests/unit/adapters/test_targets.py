"""Modules that an adapter covers."""

import pytest

from tests.fixtures.tiny_models import FAMILY_NAMES
from texlens.config.adapter import ExpertSettings, GroupSettings, LoraSettings, MoeLoraSettings

ATTENTION = ("text-attention",)
KINDS = {
    "lora": LoraSettings(rank=4, targets=(*ATTENTION, "vision", "merger")),
    "groups": LoraSettings(
        rank=4,
        targets=ATTENTION,
        layers="1",
        vision=GroupSettings(rank=2, alpha=4, dropout=0.1, learning_rate=1e-5),
        merger="full",
        rslora=True,
        modules_to_save=("embed_tokens", "lm_head"),
    ),
    "dora": LoraSettings(rank=4, targets=(*ATTENTION, "vision"), dora=True),
    "orthogonal": LoraSettings(rank=4, targets=ATTENTION, init="orthogonal"),
    "moe-lora": MoeLoraSettings(kind="moe-lora", rank=2, targets=(*ATTENTION, "vision"), shared=True),
    "moe-lora top 1": MoeLoraSettings(kind="moe-lora", rank=2, experts=3, top_k=1, targets=ATTENTION),
}
EXPERTS = {
    "experts": LoraSettings(rank=2, targets=ATTENTION, experts="lora"),
    "experts of their own rank": LoraSettings(
        rank=2, targets=ATTENTION, experts=ExpertSettings(rank=3, alpha=9), rslora=True, layers="1"
    ),
}


@pytest.mark.parametrize("family", FAMILY_NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_coverage_table_names_every_group_and_adds_up(family, kind, adapt):
    adapted = adapt(family, KINDS[kind])
    rows = {row.group: row for row in adapted.plan.coverage}
    expected = {"text-attention", "vision", "merger", "embed", "head"}
    expected |= {"experts", "router"} if "moe" in family else set()
    expected |= {"text-mlp"} if family != "qwen3_vl_moe" else set()
    assert set(rows) == expected
    trainable = sum(part.numel() for part in adapted.model.parameters() if part.requires_grad)
    assert sum(row.parameters for row in rows.values()) == trainable
    assert all((row.matched == 0) == (row.parameters == 0) for row in rows.values() if row.group != "head")


def test_coverage_of_experts_counts_stacks_and_the_router_stays_frozen(adapt):
    adapted = adapt("qwen3_vl_moe", EXPERTS["experts"])
    rows = {row.group: (row.matched, row.total, row.parameters) for row in adapted.plan.coverage}
    one_layer = 4 * 2 * (32 + 2 * 16) + 4 * 2 * (16 + 32)
    assert rows["experts"] == (4, 4, 2 * one_layer)
    assert rows["router"] == (0, 2, 0)
    assert not any(part.requires_grad for name, part in adapted.model.named_parameters() if ".mlp.gate." in name)
