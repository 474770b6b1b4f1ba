"""The board's answers in the language of the page."""

import json

import pytest

from texlens.board.pages.new_run import _CHINESE
from texlens.config.recipes import recipes
from texlens.config.run import RunConfig

NO_RUN = {"en": "no such run in", "zh-CN": "里没有这个运行"}


def test_an_error_is_in_the_language_of_the_page_that_asked(board, monkeypatch):
    for default in ("en", "zh"):
        monkeypatch.setenv("TEXLENS_LANG", default)
        for language, words in NO_RUN.items():
            answer = board.get("/api/run/absent", headers={"Accept-Language": language})
            assert (answer.status_code, words in answer.json()["error"]["message"]) == (400, True), answer.text


@pytest.mark.parametrize(("path", "body"), [("data", {"path": "absent"}), ("learn", {"folder": "absent"})], ids=str)
def test_an_error_of_data_is_in_the_language_of_the_page(board, path, body):
    headers = {"X-TexLens-Token": board.workspace.token, "Origin": "http://127.0.0.1:8422", "Accept-Language": "zh"}
    answer = board.http.post(f"/api/{path}/open", json=body, headers=headers)
    assert (answer.status_code, "没有这个" in answer.json()["error"]["message"]) == (400, True), answer.text


FAULTS = [
    ({"path": "x", "subset": "s" * 300}, "subset：最多 200 个字符"),
    ({"subset": None}, "path：缺少这一项"),
    ({"path": "x", "more": 1}, "more：没有这一项"),
    ("{", "请求的内容不是有效的 JSON；请发送一个 JSON 对象"),
]


@pytest.mark.parametrize(("body", "words"), FAULTS, ids=["long", "missing", "unknown", "no JSON"])
def test_a_wrong_field_is_named_in_the_language_of_the_page(board, body, words):
    headers = {"X-TexLens-Token": board.workspace.token, "Origin": "http://127.0.0.1:8422", "Accept-Language": "zh"}
    text = body if isinstance(body, str) else json.dumps(body)
    answer = board.http.post("/api/data/open", content=text, headers={**headers, "Content-Type": "application/json"})
    assert answer.json()["error"]["message"] == words
    assert answer.status_code == (400 if isinstance(body, str) else 422)


def test_an_address_that_does_not_exist_is_named_in_the_language_of_the_page(board):
    messages = {
        language: board.get("/nowhere", headers={"Accept-Language": language}).json()["error"]["message"]
        for language in ("en", "zh")
    }
    assert messages == {"en": "Not Found", "zh": "没有这个地址"}


def test_without_a_language_the_boards_own_holds(board, monkeypatch):
    board.http.headers.pop("accept-language", None)
    monkeypatch.setenv("TEXLENS_LANG", "zh")
    assert NO_RUN["zh-CN"] in board.get("/api/run/absent").json()["error"]["message"]


def test_a_started_command_prints_in_the_language_of_the_page(board, monkeypatch):
    monkeypatch.setattr("texlens.board.pages.new_run.TEXLENS", ("sh", "-c", 'echo "$TEXLENS_LANG"'))
    body = {"settings": ["model.path=nano", "data.path=demo"]}
    headers = {"X-TexLens-Token": board.workspace.token, "Origin": "http://127.0.0.1:8422", "Accept-Language": "zh"}
    job = board.http.post("/api/new/start", json=body, headers=headers).json()
    while board.json(f"/api/new/started/{job['id']}")["job"]["is_running"]:
        pass
    assert board.json(f"/api/new/started/{job['id']}")["output"] == ["zh"]


def test_every_setting_and_recipe_of_the_form_is_described_in_chinese():
    chinese = json.loads(_CHINESE.read_text("utf-8"))
    summaries = {" ".join(recipe.summary.split()) for recipe in recipes().values()}
    assert set(chinese) == set(_descriptions(RunConfig.model_json_schema())) | summaries
    assert all(any("一" <= letter <= "鿿" for letter in text) for text in chinese.values())


def _descriptions(node, is_properties=False):
    """Of all settings, each in one line; a setting may be named `description` itself."""
    if isinstance(node, dict):
        if not is_properties and isinstance(node.get("description"), str):
            yield " ".join(node["description"].split())
        for key, value in node.items():
            yield from _descriptions(value, key == "properties" and not is_properties)
    elif isinstance(node, list):
        for value in node:
            yield from _descriptions(value)
