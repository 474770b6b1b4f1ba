"""The page's texts in both languages, in headless Chromium; the runtime and the model are stand-ins."""

import re
import shutil

import pytest

from tests.fixtures.browser import chromium
from tests.fixtures.static_server import static_server
from texlens.exporting.web.assemble import PAGE

RUNTIME = """
export const env = { wasm: {} };
export const Tensor = class {};
export const InferenceSession = { create: () => Promise.reject(new Error("no such file")) };
"""
"""A runtime that finds no model."""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = shutil.copytree(PAGE, tmp_path_factory.mktemp("web") / "page")
    (folder / "ort.wasm.min.mjs").write_text(RUNTIME)
    (folder / "reader.json").write_text("{}")
    with static_server(folder) as address:
        yield f"{address}/index.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.mark.parametrize(
    ("language", "title", "choose", "state"),
    [
        (
            "en-US",
            "A formula to LaTeX",
            "Choose an image, drop one here, or paste one",
            "The model can't be loaded: no",
        ),
        ("zh-CN", "公式转 LaTeX", "选择图片，拖到这里，或粘贴", "无法加载模型：no such file。"),
    ],
)
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_speaks_the_browser_s_language_and_fits_the_screen(
    language, title, choose, state, width, browser, address
):
    page = browser.page("data:text/html,<html data-ready=yes>", width=width)
    agent = page.js("navigator.userAgent")
    page.send("Emulation.setUserAgentOverride", userAgent=agent, acceptLanguage=language)
    page.go(address)
    assert (page.text("h1"), page.text("#zone span")) == (title, choose)
    assert page.text("#state").startswith(state)
    assert page.js("document.documentElement.lang") == ("en" if language == "en-US" else "zh-CN")
    assert page.js("document.documentElement.scrollWidth") <= width
    assert page.wrongs == []
    page.close()


def test_every_word_is_there_in_both_languages_and_used():
    texts = {path.name: path.read_text(encoding="utf-8") for path in PAGE.iterdir()}
    english, chinese = re.findall(r"^  \w\w: \{\n(.*?)^  \},", texts.pop("words.js"), re.MULTILINE | re.DOTALL)
    keys = [set(re.findall(r"^    (\w+):", part, re.MULTILINE)) for part in (english, chinese)]
    used = re.findall(r'(?:word\(|Refusal\(|data-word=|data-alt=)"(\w+)"', "".join(texts.values()))
    assert keys[0] == keys[1] == set(used)
