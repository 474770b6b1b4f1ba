import pytest

from texlens.adapters.expressions import unsafe_reason
from texlens.models.families import FAMILIES


@pytest.mark.parametrize("pattern", ["(.*)*(.*)*(.*)*(.*)*z$", "(a+)+b", r"(\w*x?)*$", "((a|b*)c?)+d"])
def test_repetition_inside_of_a_repetition_is_refused(pattern):
    assert unsafe_reason(pattern) == "a repetition is inside of another one"


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [("(", "no regular expression"), (".*" * 9, "more than 6 repetitions"), ("a" * 30_000, "longer than 20,000")],
)
def test_broken_long_and_slow_patterns_are_refused(pattern, reason):
    assert reason in str(unsafe_reason(pattern))


def test_patterns_of_every_family_and_usual_ones_are_fine():
    patterns = [pattern for family in FAMILIES.values() for pattern in family.groups.values()]
    patterns += [r"(?:.*\.)?q_proj", r".*\.layers\.(2[0-9]|3\d)\..*proj", r"(?=(?:.*layers.*)$)(?:.*mlp.*|.*attn.*)"]
    assert [unsafe_reason(pattern) for pattern in patterns] == [None] * len(patterns)
