def test_runs_are_listed_newest_first_and_hostile_ones_do_no_harm(board, new_run):
    new_run("<img src=x>", {"state": "trained", "created": "2027"})
    new_run("broken", "[]")
    runs = board.json("/api/runs")["runs"]
    assert [run["name"] for run in runs] == ["<img src=x>", "nano", "broken"]
    assert runs[2]["state"] == "damaged"


def test_a_folder_that_is_not_there_yet_has_no_runs(tmp_path):
    from tests.unit.board.conftest import BoardClient
    from texlens.board.workspace import open_workspace

    assert BoardClient(open_workspace(tmp_path / "none")).json("/api/runs")["runs"] == []
