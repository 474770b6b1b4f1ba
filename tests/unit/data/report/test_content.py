from tests.unit.data.report.pages import inspect_rows, page


def test_a_formula_that_can_not_be_drawn_says_why(splits, tmp_path):
    assert "can&#39;t be drawn: unknown command" in page(splits, tmp_path / "report.html")


def test_counts_are_those_of_the_rows(splits):
    report = inspect_rows(splits).to_json()
    assert report["splits"]["train"]["rows"] == 8
    assert report["splits"]["test"]["distinct_labels"] == 2
    assert report["commands"] == {"\\frac": 6, "\\nosuch": 1}
    assert report["plan"]["rows"] == 9
    assert report["plan"]["unreadable"] == 1
    assert report["validation"]["kinds"]["unreadable-image"] == 1


def test_samples_come_from_each_split_alike_and_are_the_same_for_a_seed(splits):
    drawn = inspect_rows(splits, samples=6, seed=3).samples
    assert [split for split, _ in drawn] == ["train"] * 4 + ["test"] * 2
    assert drawn == inspect_rows(splits, samples=6, seed=3).samples
