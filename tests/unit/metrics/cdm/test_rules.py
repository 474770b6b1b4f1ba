"""Rules by name."""

import pytest

from texlens.core.errors import ConfigError
from texlens.metrics.cdm import cdm, rules_named


@pytest.mark.parametrize(
    "formula",
    [r"50\% + x", r"a \lt b \gt c", r"\begin{matrix} a \\ b \end{matrix}", "a\n+ b", "[x]", "]", r"\left<x\right>"],
)
def test_a_formula_is_equal_to_itself_by_our_rules(formula):
    score = cdm(formula, formula.replace(" ", "  "))
    assert score.f1 == 1.0
    assert score.matched == score.reference_tokens > 0


def test_unknown_rules_are_named():
    with pytest.raises(ConfigError, match="no rules of CDM are named 'strict'; choose one of default, reference"):
        rules_named("strict")
