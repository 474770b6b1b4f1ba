"""The report in headless Chromium: both languages, desktop and phone."""

import pytest

from tests.fixtures.browser import chromium

READY = "document.readyState === 'complete' && document.querySelector('.card')"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def report(browser, trained):
    page = browser.page("data:text/html,<html data-ready=yes>", width=390)
    page.send("Page.navigate", url=(trained / "report.html").as_uri())
    page.wait(READY)
    yield page
    assert page.wrongs == []
    page.close()


def badge(page):
    """Of the first row; rows off the screen have no rendered text."""
    return page.js("document.querySelector('.card .badge').textContent")


def test_the_report_changes_its_language_and_back(report):
    english = report.text("body")
    report.click("#language")
    assert report.text("#scores h2") == "指标"
    assert report.text(".headline-label") == "4 行的完全匹配"
    assert report.text("[data-outcome=fixed].chip").startswith("只有适配器对")
    assert badge(report).endswith(("处编辑", "一致"))
    report.click("#language")
    assert report.text("body") == english


def test_rows_that_are_shown_later_are_chinese_too(report):
    report.click("#language")
    report.js("document.querySelector('.card').remove()")
    report.js("document.querySelector('#sort').value = 'id'")
    report.js("document.querySelector('#sort').dispatchEvent(new Event('change'))")
    report.js("new Promise((done) => setTimeout(done, 100))")
    assert badge(report).endswith(("处编辑", "一致"))


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_screen_in_either_language(report, width):
    report.size(width, 900)
    for _ in range(2):
        assert report.js("document.documentElement.scrollWidth") <= width
        button = report.box("#theme")
        assert button["width"] == button["height"]
        report.click("#language")
