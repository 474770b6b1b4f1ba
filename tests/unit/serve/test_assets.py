from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.requests import Request

from texlens.serve.assets import HEADERS, asset_routes, assets_of


def request(tag: str = "") -> Request:
    return Request({"type": "http", "headers": [(b"if-none-match", tag.encode())] if tag else []})


def test_files_of_a_folder_are_named_by_their_path_and_other_kinds_are_left_out(tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "a.js").write_text("1")
    (tmp_path / "deep" / "er" / "b.css").write_text("2")
    (tmp_path / "secret.py").write_text("3")
    assets = assets_of(tmp_path)
    assert set(assets) == {"a.js", "deep/er/b.css"}
    answer = assets["a.js"].answer(request())
    assert (answer.body, answer.headers["content-type"]) == (b"1", "text/javascript; charset=utf-8")
    assert assets["a.js"].answer(request(answer.headers["etag"])).status_code == 304


def test_every_answer_has_the_policy(tmp_path):
    (tmp_path / "a.js").write_text("1")
    app = FastAPI()
    app.include_router(asset_routes(assets_of(tmp_path)))
    browser = TestClient(app)
    for name, status in (("a.js", 200), ("b.js", 404)):
        answer = browser.get(f"/ui/{name}")
        assert answer.status_code == status
        assert answer.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]
    assert "unsafe" not in HEADERS["Content-Security-Policy"]
