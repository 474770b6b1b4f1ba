"""The published rules."""

import pytest

from texlens.metrics.cdm import RULES, cdm, rules_named

REFERENCE = RULES["reference"]


def test_the_reference_has_its_faults():
    assert cdm("a < b", r"a \lt b", REFERENCE).recall == pytest.approx(2 / 3)
    assert cdm(r"5\%", "5", REFERENCE).f1 == 1.0
    assert cdm("[x]", r"(\n[x]".replace(r"\n", "\n"), REFERENCE).f1 == 1.0
    assert cdm("[ B ]", "[ 8 ]", REFERENCE).f1 == 0.5
    assert cdm(r"\ln x", "l n x", REFERENCE).matched == 1
    assert cdm(r"\log x", "l o g x", REFERENCE).matched == 4
    assert cdm(r"x \nonsense y", "x y", REFERENCE).f1 == 1.0
    assert cdm(r"\leftarrow", r"\rightarrow", REFERENCE).f1 == 1.0


def test_the_published_sets_differ_as_published():
    assert (REFERENCE.rounds, REFERENCE.samples, REFERENCE.residual_px, REFERENCE.trials) == (5, 2, 20, 50)
    older = rules_named("reference-2024")
    assert (older.rounds, older.samples, older.residual_px, older.trials) == (3, 3, 25, 50)
