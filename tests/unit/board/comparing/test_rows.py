import pytest

from texlens.board.comparing.rows import ComparedRowFilter, matching_rows, page_of_rows


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (ComparedRowFilter(), ["c", "b", "a"]),
        (ComparedRowFilter(differ=True), ["b"]),
        (ComparedRowFilter(outcome="fixed"), ["b"]),
        (ComparedRowFilter(outcome="right"), ["a"]),
        (ComparedRowFilter(domain="hand"), ["c", "b"]),
        (ComparedRowFilter(search="FRAC"), ["b"]),
        (ComparedRowFilter(min_length=4, max_length=12), ["a"]),
        (ComparedRowFilter(max_confidence=0.5), ["c", "b"]),
        (ComparedRowFilter(sort="length"), ["b", "a", "c"]),
        (ComparedRowFilter(sort="confidence"), ["b", "c", "a"]),
        (ComparedRowFilter(sort="id"), ["a", "b", "c"]),
    ],
)
def test_rows_are_filtered_and_sorted(comparison, chosen, expected):
    ids = [comparison.predictions["base"][index].id for index in matching_rows(comparison, chosen)]
    assert ids == expected


def test_a_page_has_readings_with_confidence_side_by_side(comparison):
    page = page_of_rows(comparison, ComparedRowFilter(), 1, 1)
    assert (page["total"], page["matching"], page["systems"]) == (3, 3, ["base", "adapter"])
    (row,) = page["rows"]
    assert (row["id"], row["outcome"], row["plain"]) == ("b", "fixed", "\\frac { a } { b } + c")
    base, adapter = row["texts"]
    assert (base["exact"], adapter["exact"]) == (False, True)
    assert base["plain"] == "\\frac { a } { b }"
    assert base["confidence"] == pytest.approx(0.5)
    assert page_of_rows(comparison, ComparedRowFilter(search="n !"), 0)["rows"][0]["texts"][0]["confidence"] is None
