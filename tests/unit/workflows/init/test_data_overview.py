from texlens.workflows.init.data_overview import data_overview, split_named


def test_the_demo_set_is_looked_at():
    data = data_overview("demo")
    assert data.splits == {"train": 660, "validation": 80, "test": 260}
    assert data.problem is None
    assert data.rows == 660
    assert 0 < data.labels <= 660
    assert data.longest_label > 20
    assert data.largest_pixels > 1_000


def test_data_that_is_not_there_is_a_problem_and_no_error(tmp_path):
    data = data_overview(str(tmp_path / "nothing"))
    assert data.rows == 0
    assert "nothing" in data.problem


def test_the_first_name_that_exists_is_taken():
    assert split_named(["dev", "val"], "validation", "val", "dev") == "val"
    assert split_named([], "test") is None
