"""Findings by row."""

from texlens.data.browse.problems import Problems
from texlens.data.validate.findings import Finding


def finding(row, kind, other=None, split="train"):
    return Finding(split, row, f"{split}-{row}", "here", kind, "why", other_row=other)


FINDINGS = [
    finding(3, "two-labels", ("train", 1)),
    finding(1, "two-labels", ("train", 3)),
    finding(0, "image-leak", ("train", 3), split="test"),
    finding(3, "inverted"),
    finding(7, "encoding"),
    finding(-1, "row-form"),
]


def test_a_row_has_the_badges_of_its_findings_the_gravest_first():
    badges = Problems(FINDINGS).badges(("train", 3))
    assert [(badge.kind, badge.severity) for badge in badges] == [("two-labels", "error"), ("inverted", "warning")]
    assert badges[0].other == ("train", 1)
    assert Problems(FINDINGS).badges(("train", 2)) == ()


def test_rows_are_counted_once_a_kind():
    assert Problems(FINDINGS).counts == {"two-labels": 2, "image-leak": 1, "inverted": 1, "encoding": 1}


def test_rows_of_a_kind_are_in_order():
    problems = Problems(FINDINGS)
    assert problems.rows("train", "two-labels") == [1, 3]
    assert problems.rows("train") == [1, 3, 7]
    assert problems.rows("test", "two-labels") == []


def test_rows_that_name_each_other_are_one_group_across_splits():
    problems = Problems(FINDINGS)
    group = [("test", 0), ("train", 1), ("train", 3)]
    assert [problems.beside(row_place) for row_place in group] == [group] * 3
    assert problems.beside(("train", 7)) == [("train", 7)]


def test_lines_that_are_no_rows_are_apart():
    assert [each.kind for each in Problems(FINDINGS).not_rows] == ["row-form"]
