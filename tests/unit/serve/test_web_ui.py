import re
from importlib.resources import files

import httpx
import pytest
from fastapi import FastAPI

from texlens.serve.web_ui import MAX_CHARACTERS, add_page, drawn

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


def test_the_page_and_all_that_it_asks_for_are_there(ask):
    page = ask("GET", "/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    wanted = set(re.findall(r'(?:src|href)="(/[^"]+)"', page.text))
    for path in sorted(wanted):
        found = ask("GET", path)
        assert found.status_code == 200, path
        if path.endswith(".js"):
            assert found.headers["content-type"].startswith("text/javascript")
            modules = re.findall(r'from "\./([^"]+)"', found.text)
            assert all(ask("GET", f"/ui/{module}").status_code == 200 for module in modules)
    assert {"/ui/base.css", "/ui/app.js", "/ui/mark.svg"} < wanted


def test_nothing_of_the_page_comes_from_elsewhere_or_stands_in_line(ask):
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
def test_a_request_can_not_name_a_file(ask, path):
    assert ask("GET", path).status_code == 404


def test_a_file_that_the_browser_has_is_not_sent_again(ask):
    first = ask("GET", "/ui/app.js")
    again = ask("GET", "/ui/app.js", headers={"If-None-Match": first.headers["etag"]})

    assert (again.status_code, again.content) == (304, b"")


def test_a_name_that_someone_points_at_this_machine_is_refused(ask):
    assert ask("GET", "/", base="http://evil.example:8421").status_code == 400
    assert ask("GET", "/", base="http://localhost:8421").status_code == 200


def test_a_formula_is_drawn_without_a_style_of_its_own():
    made = drawn("\\frac{a}{b}")

    assert made.svg.startswith("<svg ")
    assert "style=" not in made.svg
    assert made.svg.count("<use ") == 2
    assert "<mfrac>" in made.mathml
    assert made.problem is None


def test_what_can_not_be_drawn_is_told():
    assert drawn("\\frac{a").model_dump() == {
        "svg": None,
        "mathml": None,
        "problem": "`{` is never closed, at character 5",
    }
    assert drawn(" \n").model_dump() == {"svg": None, "mathml": None, "problem": None}


def test_drawing_takes_one_formula_of_bounded_length(ask):
    assert ask("POST", "/ui/render", json={"latex": "x"}).json()["svg"].startswith("<svg ")
    for wrong in ({"latex": "x" * (MAX_CHARACTERS + 1)}, {"latex": 1}, {}, {"latex": "x", "file": "/etc/passwd"}):
        assert ask("POST", "/ui/render", json=wrong).status_code == 422


def words(name: str) -> dict[str, str]:
    source = (WEB / "locales" / f"{name}.js").read_text()
    return dict(re.findall(r'^  "?([\w.]+)"?: "(.*)",$', source, re.MULTILINE))


def test_both_languages_say_the_same_things_with_the_same_values():
    english, chinese = words("en"), words("zh")

    assert len(english) > 90
    assert list(english) == list(chinese)
    for key, text in english.items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", chinese[key])), key


def test_every_word_of_the_page_is_known():
    page = (WEB / "index.html").read_text()
    used = set(re.findall(r'data-t(?:-\w+)?="([^"]+)"', page))
    for entry in WEB.iterdir():
        if entry.name.endswith(".js"):
            used |= set(
                re.findall(r'"((?:error|key|history|copy|mode|crop|about|announce)\.[a-z_.]+)"', entry.read_text())
            )

    assert used - set(words("en")) == set()
