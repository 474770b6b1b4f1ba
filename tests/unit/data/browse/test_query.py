"""Filters and orders of rows."""

import pytest

from texlens.core.errors import ConfigError
from texlens.data.browse.query import RowQuery, in_order, matching_texts

TEXTS = [r"\frac { A } 2", "x", r"y + \frac{a}{b}", ""]
IDS = ["one", "fracture", "three", "four"]


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ({}, [0, 1, 2, 3]),
        ({"text": r"\frac{a}"}, [0, 2]),
        ({"text": "FRAC"}, [0, 1, 2]),
        ({"text": "no such"}, []),
        ({"min_characters": 1, "max_characters": 13}, [0, 1]),
        ({"max_characters": 0}, [3]),
    ],
)
def test_rows_are_found_by_text_id_and_length(query, rows):
    assert matching_texts(RowQuery(**query), TEXTS, IDS) == rows


@pytest.mark.parametrize(
    ("order", "rows"),
    [("source", [0, 1, 2, 3]), ("longest", [2, 0, 1, 3]), ("shortest", [3, 1, 0, 2]), ("text", [3, 0, 1, 2])],
)
def test_rows_are_ordered(order, rows):
    assert in_order(RowQuery(order=order), [0, 1, 2, 3], TEXTS) == rows


@pytest.mark.parametrize("wrong", [{"problem": "odd"}, {"edits": "odd"}, {"order": "odd"}])
def test_an_unknown_filter_is_refused_with_those_there_are(wrong):
    with pytest.raises(ConfigError, match="'odd': not known; use one of "):
        RowQuery(**wrong)
