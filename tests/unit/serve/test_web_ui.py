import re
from importlib.resources import files

import httpx
import pytest
from fastapi import FastAPI

from texlens.serve.web_ui import MAX_CHARACTERS, add_page, render_formula

WEB = files("texlens.serve") / "web"


@pytest.fixture(scope="module")
def app():
    app = FastAPI()
    add_page(app)
    return app


@pytest.fixture
def ask(app):
    async def send(method: str, path: str, **more) -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url=more.pop("base", "http://127.0.0.1:8421")) as client:
            return await client.request(method, path, **more)

    def run(method: str, path: str, **more) -> httpx.Response:
        import asyncio

        return asyncio.run(send(method, path, **more))

    return run


def test_page_and_all_files_that_it_requests_exist(ask):
    page = ask("GET", "/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    requested = set(re.findall(r'(?:src|href)="(/[^"]+)"', page.text))
    for path in sorted(requested):
        response = ask("GET", path)
        assert response.status_code == 200, path
        if path.endswith(".js"):
            assert response.headers["content-type"].startswith("text/javascript")
            modules = re.findall(r'from "\./([^"]+)"', response.text)
            assert all(ask("GET", f"/ui/{module}").status_code == 200 for module in modules)
    assert {"/ui/base.css", "/ui/app.js", "/ui/mark.svg"} < requested


def test_nothing_of_the_page_is_external_or_inline(ask):
    page = ask("GET", "/")
    policy = page.headers["content-security-policy"]

    assert "unsafe" not in policy
    assert "script-src 'self'" in policy
    assert not re.search(r"<script>|<style|\sstyle=|\son\w+=", page.text)
    for entry in WEB.iterdir():
        if entry.is_file():
            outside = re.findall(r"https?://[^\"' )]+", entry.read_text())
            assert set(outside) <= {"http://www.w3.org/1998/Math/MathML", "http://www.w3.org/2000/svg"}, entry


@pytest.mark.parametrize(
    "path",
    [
        "/ui/../page.py",
        "/ui/..%2fpage.py",
        "/ui/%2e%2e/page.py",
        "/ui//etc/passwd",
        "/ui/locales/../../page.py",
        "/ui/",
    ],
)
def test_request_can_not_name_a_file(ask, path):
    assert ask("GET", path).status_code == 404


def test_cached_file_is_not_sent_again(ask):
    first = ask("GET", "/ui/app.js")
    again = ask("GET", "/ui/app.js", headers={"If-None-Match": first.headers["etag"]})

    assert (again.status_code, again.content) == (304, b"")


def test_host_name_of_another_page_is_refused(ask):
    assert ask("GET", "/", base="http://evil.example:8421").status_code == 400
    assert ask("GET", "/", base="http://localhost:8421").status_code == 200


def test_formula_is_rendered_without_a_style_attribute():
    formula = render_formula("\\frac{a}{b}")

    assert formula.svg.startswith("<svg ")
    assert "style=" not in formula.svg
    assert formula.svg.count("<use ") == 2
    assert "<mfrac>" in formula.mathml
    assert formula.problem is None


def test_formula_that_can_not_be_rendered_has_a_problem():
    assert render_formula("\\frac{a").model_dump() == {
        "svg": None,
        "mathml": None,
        "problem": "`{` is never closed, at character 5",
    }
    assert render_formula(" \n").model_dump() == {"svg": None, "mathml": None, "problem": None}


def test_rendering_takes_one_formula_of_bounded_length(ask):
    assert ask("POST", "/ui/render", json={"latex": "x"}).json()["svg"].startswith("<svg ")
    for wrong in ({"latex": "x" * (MAX_CHARACTERS + 1)}, {"latex": 1}, {}, {"latex": "x", "file": "/etc/passwd"}):
        assert ask("POST", "/ui/render", json=wrong).status_code == 422


def words(name: str) -> dict[str, str]:
    source = (WEB / "locales" / f"{name}.js").read_text()
    return dict(re.findall(r'^  "?([\w.]+)"?: "(.*)",$', source, re.MULTILINE))


def test_both_languages_have_the_same_texts_with_the_same_values():
    english, chinese = words("en"), words("zh")

    assert len(english) > 100
    assert list(english) == list(chinese)
    for key, text in english.items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", chinese[key])), key


def test_every_text_of_the_page_has_a_translation():
    page = (WEB / "index.html").read_text()
    used = set(re.findall(r'data-t(?:-\w+)?="([^"]+)"', page))
    for entry in WEB.iterdir():
        if entry.name.endswith(".js"):
            used |= set(
                re.findall(
                    r'"((?:error|key|history|copy|mode|crop|about|announce|option|options|files)\.[a-z_.]+)"',
                    entry.read_text(),
                )
            )

    assert used - set(words("en")) == set()
