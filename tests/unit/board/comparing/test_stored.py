import json

import pytest

from texlens.board.comparing.stored import ComparisonCache, rows_label, stored_comparisons
from texlens.board.workspace import open_workspace
from texlens.core.errors import DataError, RunError


@pytest.fixture
def run(folder):
    return open_workspace(folder).run("nano")


def test_stored_comparisons_are_listed_and_scored_again_from_their_predictions(run):
    (entry,) = stored_comparisons(run)
    assert (entry["label"], entry["systems"], entry["rows"]) == ("test", ["base", "adapter"], 4)
    cache = ComparisonCache()
    comparison = cache.load(run, "test")
    stored = json.loads(run.comparison("test").read_text())["systems"]["adapter"]["scores"]["exact_match"]["value"]
    assert comparison.systems["adapter"].values["exact_match"].value == stored
    assert cache.load(run, "test") is comparison
    assert cache.load(run, "test", "adapter").reference == "adapter"


def test_changed_predictions_are_scored_again(run):
    cache = ComparisonCache()
    before = cache.load(run, "test")
    path = run.predictions("test", "adapter")
    path.write_text(path.read_text() + "\n")
    assert cache.load(run, "test") is not before


def test_what_is_missing_or_damaged_is_one_line(run):
    cache = ComparisonCache()
    with pytest.raises(RunError, match="no comparison"):
        cache.load(run, "../test")
    with pytest.raises(RunError, match="no such system"):
        cache.load(run, "test", "x")
    run.predictions("test", "adapter").unlink()
    with pytest.raises(DataError, match="no predictions"):
        cache.load(run, "test")
    run.comparison("test").write_text('{"systems": 3}')
    assert stored_comparisons(run) == []


def test_a_comparison_with_further_systems_has_the_rows_of_the_shorter_label():
    assert rows_label("test-4rows-1f0c2a-with-a1b2c3") == "test-4rows-1f0c2a"
    assert rows_label("test-with-care") == "test-with-care"
