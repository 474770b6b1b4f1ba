"""Kinds of findings and how one is printed."""

from texlens.data.validate.findings import KINDS, SEVERITIES, Finding

FINDING = Finding("train", 3, "7", "rows.csv, line 4", "blank-image", "nothing but white")


def test_a_finding_has_the_severity_and_remedy_of_its_kind():
    assert (FINDING.severity, FINDING.remedy) == ("error", KINDS["blank-image"].remedy)
    assert str(FINDING) == f"rows.csv, line 4: nothing but white; {FINDING.remedy}"


def test_json_has_the_other_row_where_there_is_one():
    assert "other" not in FINDING.to_json()
    assert Finding("a", 0, "1", "w", "image-leak", "r", other="b, row 2").to_json()["other"] == "b, row 2"


def test_every_error_has_a_fix_and_every_kind_a_severity():
    assert {kind.severity for kind in KINDS.values()} == set(SEVERITIES)
    assert [name for name, kind in KINDS.items() if kind.severity == "error" and not kind.fixed] == []
