import pytest

from tests.unit.board.conftest import ADDRESS, BoardClient
from texlens.board.workspace import open_workspace

BODY = {"latex": "x"}


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Origin": ADDRESS}, "no_token"),
        ({"X-TexLens-Token": "wrong", "Origin": ADDRESS}, "no_token"),
        ({"X-TexLens-Token": "TOKEN"}, "forbidden_origin"),
        ({"X-TexLens-Token": "TOKEN", "Origin": "null"}, "forbidden_origin"),
        ({"X-TexLens-Token": "TOKEN", "Origin": "https://example.org"}, "forbidden_origin"),
        ({"X-TexLens-Token": "TOKEN", "Origin": "http://127.0.0.1:9999"}, "forbidden_origin"),
    ],
)
def test_a_change_without_token_or_from_elsewhere_is_refused(board, headers, code):
    headers = {name: board.workspace.token if value == "TOKEN" else value for name, value in headers.items()}
    answer = board.http.post("/api/render", json=BODY, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, code)
    assert board.post("/api/render", BODY).status_code == 200


def test_the_cookie_alone_changes_nothing(board):
    board.http.get("/", params={"token": board.workspace.token})
    assert board.http.post("/api/render", json=BODY, headers={"Origin": ADDRESS}).status_code == 403


def test_another_host_name_is_refused(board):
    assert board.get("/api/runs", headers={"Host": "evil.example"}).status_code == 403


def test_beyond_loopback_reading_needs_the_token_too(folder):
    board = BoardClient(open_workspace(folder, read_token=True))
    assert board.get("/").status_code == 403
    assert board.get("/api/runs").status_code == 403
    assert board.get("/ui/base.css").status_code == 200
    assert board.http.get("/", params={"token": board.workspace.token}).status_code == 200
    assert board.get("/api/runs").status_code == 200
