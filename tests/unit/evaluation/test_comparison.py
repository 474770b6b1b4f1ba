"""Two systems on the same rows: counts, differences, and refusals of rows that don't pair."""

import pytest

from texlens.core.errors import DataError
from texlens.evaluation.comparison import compare
from texlens.metrics.prediction import Prediction
from texlens.metrics.registry import run_metrics
from texlens.metrics.scores import score


def rows(right, wrong_first=0, domain=None):
    """30 rows; the first `right` after `wrong_first` wrong ones are right."""
    return [
        Prediction(f"{row:02}", "x + y", "x+y" if wrong_first <= row < wrong_first + right else "z", domain=domain)
        for row in range(30)
    ]


def test_the_four_outcomes_and_the_exact_test():
    pair = compare({"base": rows(5), "adapter": rows(20, wrong_first=1)}).to_json()["paired"]["adapter_vs_base"]
    assert (pair["both"], pair["only_adapter"], pair["only_base"], pair["neither"]) == (4, 16, 1, 9)
    assert pair["metric"] == "exact_match"
    assert pair["test"] == "mcnemar-exact"
    assert pair["difference"] == 0.5
    assert 0 < pair["low"] < 0.5 < pair["high"] < 1
    assert pair["p_value"] == pytest.approx(2 * (1 + 17) / 2**17)


def test_systems_score_as_they_do_alone():
    value = compare({"base": rows(5), "adapter": rows(20)}, seed=7).to_json()
    assert value["rows"] == 30
    assert list(value["systems"]) == ["base", "adapter"]
    assert value["systems"]["adapter"] == score(rows(20), seed=7).to_json()


def test_every_score_has_a_paired_difference():
    pair = compare({"base": rows(5), "adapter": rows(20)}).pairs[0]
    assert pair.differences["edit_similarity"].value == pytest.approx(0.5)
    assert pair.differences["repetition"].value == 0


def test_a_paired_interval_is_tighter_than_the_systems_own():
    pair = compare({"base": rows(15), "adapter": rows(16)}).pairs[0].differences["exact_match"]
    adapter = score(rows(15)).values["exact_match"]
    assert pair.high - pair.low < (adapter.high - adapter.low) / 2


def test_a_system_against_itself_differs_by_nothing():
    pair = compare({"base": rows(9), "adapter": rows(9)}).to_json()["paired"]["adapter_vs_base"]
    assert (pair["difference"], pair["low"], pair["high"], pair["p_value"]) == (0, 0, 0, 1)


def test_rows_are_paired_by_id_not_by_place():
    assert compare({"base": rows(5), "adapter": rows(5)[::-1]}).pairs[0].both == 5


def test_each_system_is_compared_with_the_first():
    assert list(compare({"a": rows(1), "b": rows(2), "c": rows(3)}).to_json()["paired"]) == ["b_vs_a", "c_vs_a"]


def test_three_p_values_are_corrected_as_holm_does():
    pairs = compare({"base": rows(5), "a": rows(10), "b": rows(12), "c": rows(5)}).pairs
    p_a, p_b, p_c = (pair.p_value for pair in pairs)
    assert p_b < p_a < p_c == 1.0
    assert [pair.p_adjusted for pair in pairs] == pytest.approx([2 * p_a, 3 * p_b, 1.0])


def test_one_comparison_needs_no_correction():
    (pair,) = compare({"base": rows(5), "adapter": rows(20)}).pairs
    assert pair.p_adjusted == pair.p_value


def test_another_reference_system_gives_what_a_new_comparison_would(monkeypatch):
    systems = {"base": rows(5), "adapter": rows(20), "export": rows(18)}
    expected = compare({"adapter": rows(20), "export": rows(18)}, seed=3).to_json()
    comparison = compare(systems, seed=3)
    monkeypatch.setattr("texlens.metrics.scores.Table.of", None)
    assert comparison.with_reference("adapter", without=["base"]).to_json() == expected


def test_one_system_alone_has_no_pairs():
    assert compare({"base": rows(5)}).to_json()["paired"] == {}


def test_each_domain_is_compared_on_its_own_rows():
    base = rows(5, domain="hand")[:10] + rows(30, domain="print")[10:]
    adapter = rows(10, domain="hand")[:10] + rows(30, domain="print")[10:]
    value = compare({"base": base, "adapter": adapter}).to_json()["domains"]
    assert (value["hand"]["rows"], value["print"]["rows"]) == (10, 20)
    assert value["hand"]["paired"]["adapter_vs_base"]["difference"] == 0.5
    assert value["print"]["paired"]["adapter_vs_base"]["difference"] == 0


def test_rows_without_a_domain_are_under_other():
    mixed = rows(5, domain="hand")[:10] + rows(5)[10:]
    assert list(compare({"base": mixed}).domains) == ["hand", "other"]


def test_no_domains_without_a_domain_in_a_row():
    assert "domains" not in compare({"base": rows(5)}).to_json()


def test_ids_missing_on_either_side_are_named():
    with pytest.raises(DataError, match=r"row '29' of 'base' missing in 'adapter'"):
        compare({"base": rows(5), "adapter": rows(5)[:-1]})
    with pytest.raises(DataError, match=r"2 rows \('00', '01'\) of 'adapter' missing in 'base'"):
        compare({"base": rows(5)[2:], "adapter": rows(5)})


def test_a_repeated_id_is_named_with_its_system():
    with pytest.raises(DataError, match="adapter: row '00' more than once"):
        compare({"base": rows(5), "adapter": [*rows(5), rows(5)[0]]})


def test_a_different_reference_under_the_same_id_is_named():
    other = [Prediction("00", "q", "x+y"), *rows(5)[1:]]
    with pytest.raises(DataError, match="row '00': the reference differs between 'base' and 'adapter'"):
        compare({"base": rows(5), "adapter": other})


def test_nothing_to_compare_is_an_error():
    with pytest.raises(DataError, match="no systems"):
        compare({})
    with pytest.raises(DataError, match="base: no predictions"):
        compare({"base": []})


def test_only_the_chosen_metrics_are_computed():
    chosen = compare({"base": rows(5), "adapter": rows(20)}, metrics=run_metrics(["bleu4"]))
    assert list(chosen.systems["adapter"].values) == list(chosen.pairs[0].differences) == ["exact_match", "bleu4"]
