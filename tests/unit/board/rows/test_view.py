"""Rows as the page is sent them."""

from tests.unit.data.sample_factory import plain_sample
from texlens.board.rows.view import MAX_TEXT, row_json, tokens_json
from texlens.data.browse.browser import BrowsedRow
from texlens.data.browse.problems import Badge
from texlens.data.edits.edit import Edit, RowEdits

EDIT = Edit(1, "2026-11-30T17:00:00+00:00", "anna", "key", "label", "x", "y")


def browsed(text="y", **other):
    badge = Badge("two-labels", "error", "title", "reason", "remedy", ("train", 3))
    return BrowsedRow("train", 7, "id-7", text, "x", RowEdits("y", edits=(EDIT,)), [badge], (8, 4), "here", **other)


def test_a_row_has_its_edits_and_badges():
    row = row_json(browsed())
    assert (row["text"], row["source_text"], row["label"], row["edits"], row["size"]) == ("y", "x", "y", 1, [8, 4])
    assert row["badges"][0] | {} == {
        "kind": "two-labels",
        "severity": "error",
        "title": "title",
        "reason": "reason",
        "remedy": "remedy",
        "other": ["train", 3],
    }
    assert "history" not in row
    assert row_json(browsed(), whole=True)["history"][0]["who"] == "anna"


def test_a_long_text_is_cut_in_a_list_and_whole_alone():
    long = "x" * (MAX_TEXT + 1)
    assert (len(row_json(browsed(long))["text"]), row_json(browsed(long))["is_cut"]) == (MAX_TEXT, True)
    assert row_json(browsed(long), whole=True)["text"] == long


def test_tokens_are_those_of_the_edited_label():
    view = tokens_json(plain_sample(text="a"), "b+c", "nano")
    trained = "".join(token["token"] for token in view["tokens"] if token["label"] is not None)
    assert trained.startswith("b+c")
    assert view["answer_tokens"] == sum(token["count"] for token in view["tokens"] if token["label"] is not None)
