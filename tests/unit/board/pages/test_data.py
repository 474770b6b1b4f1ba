"""The routes of the data page."""

import pytest

from tests.unit.data.pictures import png
from tests.unit.data.tables import write_parquet


@pytest.fixture
def source(board, tmp_path):
    pictures = [png(32, 16, n) for n in range(4)]
    write_parquet(tmp_path / "d" / "train-00000-of-00001.parquet", ["x^2", "<b>y</b>", "z", ""], pictures)
    answer = board.post("/api/data/open", {"path": str(tmp_path / "d")})
    assert answer.status_code == 200, answer.text
    key = answer.json()["key"]
    return f"/api/data/{key}"


def test_rows_are_searched_and_paged(board, source):
    assert board.json(source)["splits"]["train"]["rows"] == 4
    page = board.json(f"{source}/rows", split="train", first=1, count=2)
    assert ([row["row"] for row in page["rows"]], page["total"]) == ([1, 2], 4)
    assert [row["row"] for row in board.json(f"{source}/rows", split="train", text="X ^ 2")["rows"]] == [0]


def test_an_edit_is_saved_with_who_and_shown_with_its_history(board, source):
    body = {"split": "train", "row": 0, "kind": "label", "new": "x_2", "expected": None, "who": "anna"}
    assert board.post(f"{source}/edit", body).json()["version"] == 1
    row = board.json(f"{source}/train/0")
    assert (row["text"], row["source_text"], row["history"][0]["who"]) == ("x_2", "x^2", "anna")
    assert board.json(source)["splits"]["train"]["edited"] == 1


def test_an_edit_of_a_row_that_somebody_else_changed_is_refused(board, source):
    body = {"split": "train", "row": 0, "kind": "label", "new": "x_2", "expected": None}
    board.post(f"{source}/edit", body)
    answer = board.post(f"{source}/edit", {**body, "new": "other"})
    assert answer.status_code == 400
    assert "in the meantime" in answer.json()["error"]["message"]
    assert board.json(f"{source}/train/0")["text"] == "x_2"


def test_pictures_and_tokens_of_a_row(board, source):
    image = board.get(f"{source}/train/0/image")
    assert (image.status_code, image.headers["content-type"]) == (200, "image/png")
    assert board.json(f"{source}/train/0/tokens")["answer_tokens"] > 0


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/rows", {"split": "dev"}),
        ("/rows", {"split": "train", "problem": "any"}),
        ("/train/9", {}),
        ("/train/9/image", {}),
    ],
)
def test_what_is_not_there_is_refused_in_one_line(board, source, path, params):
    answer = board.get(source + path, params=params)
    assert answer.status_code == 400
    assert "\n" not in answer.json()["error"]["message"]


def test_nothing_is_opened_by_a_path_in_a_reading_request(board, source, tmp_path):
    assert board.get("/api/data/%2Fetc").status_code in (400, 404)
    assert board.get("/api/data/0123456789ab").status_code == 400


@pytest.mark.parametrize("headers", [{}, {"X-TexLens-Token": "wrong", "Origin": "http://127.0.0.1:8422"}])
def test_changes_need_the_token(board, source, headers):
    body = {"split": "train", "row": 0, "kind": "label", "new": "y", "expected": None}
    for path in (f"{source}/edit", f"{source}/check", f"{source}/export", "/api/data/open"):
        assert board.http.post(path, json=body, headers=headers).status_code == 403
    assert board.json(source)["version"] == 0


def test_changes_need_the_boards_own_origin(board, source):
    headers = {"X-TexLens-Token": board.workspace.token, "Origin": "http://evil.example"}
    body = {"split": "train", "row": 0, "kind": "label", "new": "y", "expected": None}
    assert board.http.post(f"{source}/edit", json=body, headers=headers).status_code == 403


def test_an_export_without_edits_says_that_there_is_nothing_to_export(board, source, tmp_path):
    answer = board.post(f"{source}/export", {"to": "hf", "output": str(tmp_path / "out")})
    assert answer.status_code == 400
    assert "no row was edited yet" in answer.json()["error"]["message"]


def test_an_export_is_a_process_of_its_own(board, source, tmp_path):
    board.post(f"{source}/edit", {"split": "train", "row": 0, "kind": "label", "new": "x_2", "expected": None})
    job = board.post(f"{source}/export", {"to": "hf", "output": str(tmp_path / "out")}).json()
    assert job["command"][-5:-1] == ["hf", "-o", str(tmp_path / "out"), "--edits"]
    assert job["command"][-1].endswith(".jsonl@1")
