"""Edits of a row, and what they come to."""

import pytest

from texlens.core.errors import DataError
from texlens.data.edits.edit import Edit, check_text, edit_of_line, rows_of


def edit(number, kind="label", old=None, new="y", row="r"):
    return Edit(number, "2026-11-30T17:00:00+00:00", "anna", row, kind, old, new)


def test_a_line_gives_the_edit_back():
    first = Edit(1, "2026-11-30T17:00:00+00:00", "anna", "r", "label", "x", "ü\u2028", "why", "train", "train-7")
    assert edit_of_line(first.to_line(), "f line 2") == first


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"number": 1}',
        edit(1).to_line().replace('"label"', '"move"'),
        edit(1).to_line().replace('"y"', "7"),
        edit(1).to_line().replace('"number": 1', '"number": "1"'),
    ],
)
def test_a_line_that_is_no_edit_is_refused_with_its_place(line):
    with pytest.raises(DataError, match=r"^f line 2: not an edit"):
        edit_of_line(line, "f line 2")


def test_the_last_edit_of_each_kind_is_in_effect():
    edits = [
        edit(1, new="y"),
        edit(2, "exclude", new="blurred"),
        edit(3, new="z", old="y"),
        edit(4, "mark", new="ask", row="other"),
    ]
    rows = rows_of(edits)
    assert (rows["r"].label, rows["r"].excluded, rows["r"].mark) == ("z", "blurred", None)
    assert [each.number for each in rows["r"].edits] == [1, 2, 3]
    assert rows["other"].mark == "ask"


def test_none_undoes_and_the_edits_stay():
    state = rows_of([edit(1), edit(2, old="y", new=None)])["r"]
    assert not state.is_changed
    assert len(state.edits) == 2


@pytest.mark.parametrize("text", ["x" * 100_001, "a\ud800"])
def test_a_text_that_no_file_should_hold_is_refused(text):
    with pytest.raises(DataError, match=r"^label: "):
        check_text(text, "label")
