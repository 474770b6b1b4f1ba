"""Rows page by page, with their edits and problems."""

import pytest

from tests.unit.data.pictures import png
from tests.unit.data.tables import write_parquet
from texlens.core.errors import DataError
from texlens.data.browse.browser import DataBrowser
from texlens.data.browse.problems import Problems
from texlens.data.browse.query import RowQuery
from texlens.data.edits.log import CONFLICT, EditLog
from texlens.data.load import load_split
from texlens.data.validate.findings import Finding

TEXTS = [f"x_{number}" for number in range(120)]


@pytest.fixture
def data(tmp_path):
    pictures = [png(16, 8, number % 7) for number in range(len(TEXTS))]
    write_parquet(tmp_path / "d" / "train-00000-of-00001.parquet", TEXTS, pictures)
    write_parquet(tmp_path / "d" / "test-00000-of-00001.parquet", ["a", "b"], pictures[:2])
    return str(tmp_path / "d")


@pytest.fixture
def browser(data, tmp_path):
    splits = {split: load_split(data, split=split) for split in ("train", "test")}
    return DataBrowser(splits, EditLog(tmp_path / "edits.jsonl"))


def rows_of(page):
    return [row.row for row in page.rows]


def test_a_page_is_a_part_of_the_rows(browser):
    page = browser.page("train", RowQuery(), first=50, count=50)
    assert (rows_of(page), page.total, page.first) == (list(range(50, 100)), 120, 50)
    row = page.rows[3]
    assert (row.id, row.text, row.size, row.split) == ("train-53", "x_53", (16, 8), "train")


def test_pages_hold_every_row_once(browser):
    pages = [browser.page("train", RowQuery(), first=first, count=50) for first in (0, 50, 100, 150)]
    assert [row for page in pages for row in rows_of(page)] == list(range(120))


def test_a_page_is_never_larger_than_its_limit(browser, monkeypatch):
    monkeypatch.setattr("texlens.data.browse.browser.MAX_PAGE_ROWS", 20)
    assert len(browser.page("train", RowQuery(), count=10_000).rows) == 20


def test_an_edit_is_shown_searched_and_counted(browser):
    browser.edit(("train", 7), "label", r"\beta", who="anna", expected=None)
    browser.edit(("train", 8), "exclude", "blurred", who="anna", expected=None)
    browser.edit(("train", 9), "mark", "ask", who="anna", expected=None)
    row = browser.page("train", RowQuery(text="beta")).rows[0]
    assert (row.row, row.text, row.source_text) == (7, r"\beta", "x_7")
    assert row.edits.edits[0].who == "anna"
    assert browser.counts("train") == {"rows": 120, "rejected": 0, "edited": 1, "excluded": 1, "marked": 1}
    queries = {"any": [7, 8, 9], "edited": [7], "excluded": [8], "marked": [9]}
    assert {edits: rows_of(browser.page("train", RowQuery(edits=edits))) for edits in queries} == queries
    assert browser.page("train", RowQuery(edits="untouched")).total == 117


def test_edits_are_read_by_training(browser, data):
    browser.edit(("train", 7), "label", r"\beta", who="anna", expected=None)
    assert load_split(data, edits=str(browser.log.path)).text(7) == r"\beta"


def test_the_sources_own_label_undoes_an_edit(browser):
    browser.edit(("train", 7), "label", "y", who="anna", expected=None)
    browser.edit(("train", 7), "label", "x_7", who="anna", expected="y")
    assert browser.row(("train", 7)).edits.label is None
    assert browser.counts("train")["edited"] == 0


def test_two_people_don_t_overwrite_each_other(browser):
    other = DataBrowser(browser.splits, EditLog(browser.log.path))
    other.edit(("train", 7), "label", "theirs", who="ben", expected=None)
    with pytest.raises(DataError, match="in the meantime") as caught:
        browser.edit(("train", 7), "label", "mine", who="anna", expected=None)
    assert caught.value.kind == CONFLICT
    assert browser.row(("train", 7)).text == "theirs"


def test_rows_with_problems_are_filtered_and_duplicates_are_beside_each_other(browser):
    browser.problems = Problems(
        [
            Finding("train", 9, "train-9", "here", "duplicate-row", "again", other_row=("train", 2)),
            Finding("test", 1, "test-1", "here", "image-leak", "also there", other_row=("train", 2)),
        ]
    )
    assert rows_of(browser.page("train", RowQuery(problem="duplicate-row"))) == [9]
    assert [badge.kind for badge in browser.row(("train", 9)).badges] == ["duplicate-row"]
    places = [(row.split, row.row) for row in browser.beside(("train", 9))]
    assert places == [("test", 1), ("train", 2), ("train", 9)]


def test_a_filter_by_problems_needs_a_validation(browser):
    with pytest.raises(DataError, match="not checked yet"):
        browser.page("train", RowQuery(problem="any"))


def test_a_row_that_is_not_there_is_named(browser):
    with pytest.raises(DataError, match="no row 120; it has 120"):
        browser.row(("train", 120))
    with pytest.raises(DataError, match="no split 'dev'; there are train, test"):
        browser.page("dev", RowQuery())


def test_only_images_of_the_page_are_read(browser, data, monkeypatch):
    reads = []
    rows = browser.splits["train"]
    original = type(rows._source).sample
    monkeypatch.setattr(type(rows._source), "sample", lambda self, row: reads.append(row) or original(self, row))
    browser.page("train", RowQuery(order="longest"), first=0, count=10)
    assert len(reads) == 10
