"""Keep or discard, by a paired test."""

import pytest

from texlens.core.errors import DataError
from texlens.metrics.prediction import Prediction
from texlens.workflows.learn.decision import decide


def rows(right, domain, total):
    return [
        Prediction(f"{domain}-{number}", "x^2", "x^{2}" if number in right else "y", domain=domain)
        for number in range(total)
    ]


def decision(before, after, guard_before=None, guard_after=None, total=20):
    systems = [rows(before, "corrected", total), rows(after, "corrected", total)]
    if guard_before is not None:
        systems[0] += rows(guard_before, "rehearsal", total)
        systems[1] += rows(guard_after, "rehearsal", total)
    return decide(*systems)


def test_a_model_that_reads_more_rows_right_is_kept():
    result = decision(range(5), range(15))
    assert (result.outcome, result.hold_out.gained, result.hold_out.lost) == ("better", 10, 0)
    assert result.hold_out.p_value == pytest.approx(2 * 0.5**10)
    assert (result.hold_out.before["value"], result.hold_out.after["value"]) == (0.25, 0.75)
    assert result.hold_out.difference["low"] > 0
    assert result.sentence == "kept: right on 15 of 20 held-out rows instead of 5 (10 gained, 0 lost, p = 0.002)"


def test_five_gained_rows_are_not_certain_and_six_are():
    assert decision((), range(5)).outcome == "uncertain"
    assert decision((), range(6)).outcome == "better"


def test_a_worse_model_is_discarded():
    assert decision(range(15), range(5)).outcome == "worse"
    assert not decision(range(15), range(5)).is_kept


def test_a_model_that_forgets_is_discarded_although_it_is_better():
    result = decision(range(5), range(15), range(20), range(10))
    assert (result.outcome, result.is_kept) == ("forgets", False)
    assert "it forgets, 10 lost and 0 gained of 20 rows of the old kind" in result.sentence


def test_rows_of_the_old_kind_that_stay_right_are_no_objection():
    assert decision(range(5), range(15), range(20), range(18)).outcome == "better"


def test_spelling_does_not_count():
    before = [Prediction("a", "x^{2}", "x^2", domain="corrected")]
    assert decide(before, before).hold_out.before["value"] == 1.0


def test_without_held_out_rows_nothing_is_decided():
    guard = rows((), "rehearsal", 3)
    with pytest.raises(DataError, match="no held-out row"):
        decide(guard, guard)
