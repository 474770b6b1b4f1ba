"""Modules that an adapter covers."""

import pytest

from tests.fixtures.tiny_models import FAMILY_NAMES
from tests.unit.adapters.kinds import EXPERTS, KINDS


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
