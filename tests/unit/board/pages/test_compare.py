import time

from texlens.board.pages import compare


def test_runs_are_offered_with_their_comparisons_and_checkpoints(board, folder):
    (folder / "nano" / "checkpoints" / "checkpoint-2").mkdir(parents=True, exist_ok=True)
    (source,) = board.json("/api/compare/sources")["runs"]
    assert (source["name"], source["comparisons"][0]["label"]) == ("nano", "test")
    assert "checkpoint-2" in source["checkpoints"]


def test_table_and_rows_are_of_one_comparison(board):
    table = board.json("/api/compare/table", run="nano", label="test", reference="adapter")
    assert (table["reference"], table["rows"]) == ("adapter", 4)
    page = board.json("/api/compare/rows", run="nano", label="test", sort="id", search="test-2")
    assert [row["id"] for row in page["rows"]] == ["test-2"]
    assert board.get("/api/compare/rows", params={"run": "nano", "label": "x"}).status_code == 400
    assert board.get("/api/compare/picture", params={"run": "nano", "split": "x", "row": "1"}).status_code == 400


def test_start_names_runs_by_their_folders_and_no_system_is_an_option(board, folder, monkeypatch):
    monkeypatch.setattr(compare, "TEXLENS", ("true",))
    systems = ["nano/predictions", "--json", "Qwen/Qwen3-VL-4B-Instruct", "../nano"]
    job = board.post("/api/compare/start", {"run": "nano", "systems": systems, "max_rows": 5}).json()
    assert job["command"][1:] == [
        *("compare", "--split", "test", "--json", "--set", "evaluate.max_rows=5", "--", str(folder / "nano")),
        *(str(folder / "nano/predictions"), "--json", "Qwen/Qwen3-VL-4B-Instruct", "../nano"),
    ]
    until = time.monotonic() + 30
    while board.json(f"/api/compare/started/{job['id']}")["job"]["exit_code"] is None:
        assert time.monotonic() < until
        time.sleep(0.02)
    assert board.post("/api/compare/start", {"run": "nano", "split": "x"}).status_code == 400
    assert board.post("/api/compare/start", {"run": "../nano"}).status_code == 400


def test_formulas_are_drawn(board):
    drawn = board.post("/api/compare/drawings", {"reference": "x", "text": "y"}).json()
    assert drawn["reference"].startswith("<svg")
