import re

import pytest

from tests.unit.board.conftest import BoardClient
from texlens.board.pages.registry import PAGES
from texlens.board.workspace import open_workspace

PATHS = [page.path.replace("{name}", "nano") for page in PAGES]


@pytest.mark.parametrize("path", PATHS)
def test_a_page_and_all_files_that_it_requests_exist(board, path):
    page = board.get(path)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    waiting = re.findall(r'(?:src|href)="(/ui/[^"]+)"', page.text)
    files = set()
    while waiting:
        file = waiting.pop()
        files.add(file)
        answer = board.get(file)
        assert answer.status_code == 200, file
        imports = re.findall(r'from "(\.[^"]+)"', answer.text) if file.endswith(".js") else []
        waiting += {_joined(file.rpartition("/")[0], name) for name in imports} - files
    assert {"/ui/frame.js", "/ui/board.css", "/ui/words/frame.js"} < files


def _joined(base: str, name: str) -> str:
    parts = base.split("/")
    for part in name.split("/"):
        parts = parts[:-1] if part == ".." else parts if part == "." else [*parts, part]
    return "/".join(parts)


@pytest.mark.parametrize("path", PATHS)
def test_nothing_of_a_page_is_inline_or_external(board, path):
    page = board.get(path)
    assert "unsafe" not in page.headers["content-security-policy"]
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert not re.search(r"<script>|<style|\sstyle=|\son\w+=|https?://", page.text)


def test_the_token_in_the_url_becomes_a_cookie_and_leaves_the_address(board):
    token = board.workspace.token
    assert token not in board.get("/").text
    first = board.http.get("/run/nano", params={"token": token, "tab": "log"}, follow_redirects=False)
    assert (first.status_code, first.headers["location"]) == (303, "/run/nano?tab=log")
    assert "httponly" in first.headers["set-cookie"].lower()
    assert f'<meta name="token" content="{token}">' in board.get("/run/nano").text


def test_a_wrong_token_gives_no_cookie(board):
    answer = board.http.get("/", params={"token": "x"}, follow_redirects=False)
    assert "set-cookie" not in answer.headers


def test_a_folder_name_with_markup_is_shown_as_text(tmp_path):
    board = BoardClient(open_workspace(tmp_path / "<script>alert(1)</script>"))
    assert "<script>alert" not in board.get("/").text


def test_what_a_user_can_fix_is_one_line(board):
    answer = board.get("/api/run/none")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
    assert "no such run" in answer.json()["error"]["message"]


def test_a_formula_is_drawn_without_style_attributes(board):
    answer = board.post("/api/render", {"latex": "x^2"}).json()
    assert answer["svg"].startswith("<svg")
    assert "style=" not in answer["svg"]


@pytest.mark.parametrize("path", ["/ui/../app.py", "/ui/%2e%2e/app.py", "/ui//etc/passwd", "/ui/pages/", "/ui/"])
def test_a_request_can_not_name_a_file(board, path):
    assert board.get(path).status_code == 404
