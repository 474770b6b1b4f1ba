"""Training gives the numbers that version 0.1 gave: a refactoring changes no loss."""

import json
from pathlib import Path

import pytest

from tests.integration.seeded_runs import VARIANTS, run_variant

BEFORE = json.loads((Path(__file__).parents[1] / "fixtures" / "seeded_losses.json").read_text())
"""By version 0.1 (commit 2fd602d) on an AMD EPYC CPU, torch 2.13.0, one thread."""
ADDED_LATER = {"qwen3_5", "qwen3_5_moe"}
"""Families that version 0.1 did not have, so that it gave no losses for them."""


@pytest.mark.parametrize("name", [name for name in VARIANTS if name not in ADDED_LATER])
def test_seeded_losses_are_those_of_version_0_1(name, tmp_path):
    losses = run_variant(name, tmp_path / "runs")["losses"]
    assert losses == pytest.approx(BEFORE[name]["losses"], rel=2e-4)


def test_every_stored_variant_is_run():
    assert set(VARIANTS) - ADDED_LATER == set(BEFORE)
