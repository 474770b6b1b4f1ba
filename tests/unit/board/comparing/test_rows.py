import pytest

from texlens.board.comparing.rows import RowFilter, matching_rows, page_of_rows


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (RowFilter(), ["c", "b", "a"]),
        (RowFilter(differ=True), ["b"]),
        (RowFilter(outcome="fixed"), ["b"]),
        (RowFilter(outcome="right"), ["a"]),
        (RowFilter(domain="hand"), ["c", "b"]),
        (RowFilter(search="FRAC"), ["b"]),
        (RowFilter(min_length=4, max_length=12), ["a"]),
        (RowFilter(max_confidence=0.5), ["c", "b"]),
        (RowFilter(sort="length"), ["b", "a", "c"]),
        (RowFilter(sort="confidence"), ["b", "c", "a"]),
        (RowFilter(sort="id"), ["a", "b", "c"]),
    ],
)
def test_rows_are_filtered_and_sorted(comparison, chosen, expected):
    ids = [comparison.predictions["base"][index].id for index in matching_rows(comparison, chosen)]
    assert ids == expected


def test_a_page_has_readings_with_confidence_side_by_side(comparison):
    page = page_of_rows(comparison, RowFilter(), 1, 1)
    assert (page["total"], page["matching"], page["systems"]) == (3, 3, ["base", "adapter"])
    (row,) = page["rows"]
    assert (row["id"], row["outcome"], row["plain"]) == ("b", "fixed", "\\frac { a } { b } + c")
    base, adapter = row["texts"]
    assert (base["exact"], adapter["exact"]) == (False, True)
    assert base["plain"] == "\\frac { a } { b }"
    assert base["confidence"] == pytest.approx(0.5)
    assert page_of_rows(comparison, RowFilter(search="n !"), 0)["rows"][0]["texts"][0]["confidence"] is None
