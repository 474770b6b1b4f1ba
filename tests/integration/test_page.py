"""The web page as a user uses it, in headless Chromium; a server without a model answers, and once the real one."""

import io
import json
import re
import subprocess
import sys
import time

import pytest
from PIL import Image

from tests.fixtures.browser import Page, chromium
from tests.fixtures.fake_backend import Backend, refusal, served
from tests.integration.conftest import environment
from texlens.latex.render.formats import render_png

FORMULA = render_png("\\frac{a}{b} + c", pixels_per_em=48)
SIZE = Image.open(io.BytesIO(FORMULA)).size


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def backend():
    return Backend()


@pytest.fixture(scope="module")
def url(backend):
    with served(backend.app()) as address:
        yield address


@pytest.fixture
def page(browser, backend, url):
    backend.sent.clear()
    backend.refusals.clear()
    page = browser.page(url)
    yield page
    assert page.wrongs == []
    page.close()


def give(page: Page, how: str = "paste") -> None:
    page.give(how, FORMULA)
    page.wait("!document.getElementById('shown').hidden")


def read(page: Page) -> None:
    """By the keyboard, until both readings are drawn and kept."""
    before = page.js("document.querySelectorAll('#history-list li').length")
    page.press("Enter")
    page.wait(f"document.querySelectorAll('#history-list li').length > {before}")


def size_of(image: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(image)).size


def clipboard(page: Page) -> str:
    return page.js("navigator.clipboard.readText()")


@pytest.mark.parametrize("how", ["paste", "drop", "choose"])
def test_image_is_pasted_dropped_or_chosen_and_sent_unchanged(page, backend, how):
    give(page, how)
    assert page.text("#about") == f"{SIZE[0]} × {SIZE[1]} pixels"
    read(page)

    assert sorted(backend.sent) == [("handwriting", FORMULA), ("nano", FORMULA)]


def test_the_prepared_image_is_shown_on_request(page):
    give(page)
    source = page.js("document.getElementById('preview').src")
    assert page.js("document.getElementById('prepared').hidden")  # the first model takes images as they are
    page.js("Object.assign(document.getElementById('model'), { value: 'nano' }).dispatchEvent(new Event('change'))")
    page.click("#prepared")
    page.wait("document.getElementById('preview').src.startsWith('data:image/png')")
    assert page.text("#about") == "prepared: light and dark exchanged, margins cut"
    page.press("l")
    assert page.text("#about") == "已预处理：黑白反转、裁去边距"
    page.press("l")
    page.click("#prepared")
    assert page.js("document.getElementById('preview').src") == source
    assert page.text("#about") == f"{SIZE[0]} × {SIZE[1]} pixels"


def test_base_and_adapter_are_side_by_side(page):
    give(page)
    read(page)
    left, right = page.box("[data-model=handwriting]"), page.box("[data-model=nano]")

    assert (left["y"], left["width"]) == (right["y"], right["width"])
    assert left["x"] < right["x"]
    assert page.js("[...document.querySelectorAll('.result textarea')].map((node) => node.value)") == [
        "\\frac{a}{b} + c",
        "\\frac{a}{6} + c",
    ]
    assert page.text(".verdict") == "they differ"
    assert page.text("[data-model=handwriting] .badges") == "87% sure"
    assert page.text("[data-model=nano] .badges") == ""
    assert "handwriting read: \\frac{a}{b} + c. Tokens under 90%: 3" in page.js(
        "document.getElementById('spoken').textContent"
    )

    page.click("#beside")
    read(page)
    assert page.js("document.querySelectorAll('.result').length") == 1


def test_doubtful_tokens_are_colored_underlined_and_described(page):
    give(page)
    read(page)
    tokens = page.js(
        "[...document.querySelectorAll('[data-model=handwriting] .token-row .token')]"
        ".map((node) => [node.textContent, node.className, node.title, getComputedStyle(node).textDecorationStyle])"
    )

    assert tokens == [
        ["\\frac", "token level-0", "99.91%", "solid"],
        ["{a}", "token level-1", "95.0%", "dotted"],
        ["{b}", "token level-2", "81.0%", "dashed"],
        ["+", "token level-3", "62.0%", "solid"],
        ["c", "token level-4", "31.0%", "wavy"],
    ]
    assert page.text("[data-model=handwriting] .token-row") == "\\frac{a}{b} + c"
    page.js("document.querySelector('.level-4[tabindex]').focus()")
    assert page.text("[data-model=handwriting] .token-detail") == "c — 31.0%"


@pytest.mark.parametrize("model", ["lost", "calibrated"])
def test_a_reading_that_may_be_no_formula_says_so(browser, model):
    with served(Backend(models=(model,)).app()) as address:
        page = browser.page(address)
        give(page)
        read(page)
        assert page.text(".doubtful") == "perhaps no formula, or not read right"
        page.press("l")
        assert page.text(".doubtful") == "可能不是公式，或没有读对"
        page.close()


def test_edit_is_rendered_and_can_be_undone(page):
    give(page)
    read(page)
    glyphs = "document.querySelectorAll('[data-model=handwriting] .formula use').length"
    assert page.js(glyphs) == 4
    page.press("e")
    page.press("End")
    page.type("+ d")
    page.wait(f"{glyphs} === 6")
    assert page.js("document.querySelector('[data-model=handwriting] math').textContent") == "ab+c+d"

    page.type("}")
    page.wait("document.querySelector('[data-model=handwriting] .problem')")
    assert page.text("[data-model=handwriting] .problem").startswith("This can't be drawn: ")
    page.click("[data-model=handwriting] .editor button")
    page.wait(f"{glyphs} === 4")


def test_no_formula_becomes_part_of_the_page(page):
    give(page)
    read(page)
    hostile = (
        "\\text{<img src=x onerror=wrongs.push(1)>} \\href{javascript:wrongs.push(2)}{y} \\style{position:fixed}{z}"
    )
    for formula in (hostile, hostile.split(" ")[0] + "}", "\\text{<script>wrongs.push(3)</script>}"):
        page.js(
            "((box) => { box.value = " + json.dumps(formula) + "; box.dispatchEvent(new Event('input')); })"
            "(document.querySelector('.result textarea'))"
        )
        page.wait(f"document.querySelector('#history-list code').textContent === {json.dumps(formula)}")
        assert (
            page.js("document.querySelectorAll('.formula :is(img, a, script, [href]:not(use), [style])').length") == 0
        )


def test_formula_is_copied_in_every_format(page):
    give(page)
    read(page)
    page.press("c")
    page.wait("document.getElementById('notice').innerText === 'LaTeX copied'")
    assert clipboard(page) == "\\frac{a}{b} + c"
    page.press("m")
    page.wait("document.getElementById('notice').innerText === 'MathML copied'")
    assert re.match(r"<math .*<mfrac>", clipboard(page))
    page.click("[data-model=nano] [data-copy=svg]")
    page.wait("document.getElementById('notice').innerText === 'SVG copied'")
    assert re.match(r'<svg .*fill="#000".*</svg>$', clipboard(page))
    page.press("p")
    page.wait("document.getElementById('notice').innerText === 'PNG copied'")
    width, height = page.js(
        "navigator.clipboard.read().then(([item]) => item.getType('image/png')).then(createImageBitmap)"
        ".then((image) => [image.width, image.height])"
    )
    assert width > height > 80


SLOW_DECODING = """
const decode = Image.prototype.decode;
Image.prototype.decode = async function () {
  await new Promise((done) => setTimeout(done, 300));
  return decode.call(this);
};
"""


def test_an_image_that_is_still_decoded_is_read_and_not_the_one_before(page, backend):
    give(page)
    other = render_png("x + y", pixels_per_em=48)
    page.js(SLOW_DECODING)
    page.give("paste", other)
    read(page)
    assert {image for _, image in backend.sent} == {other}


def test_an_image_that_comes_while_another_is_waited_for_is_the_one_that_is_read(page, backend):
    give(page)
    page.js(SLOW_DECODING)
    page.give("paste", render_png("x + y", pixels_per_em=48))
    page.press("Enter")
    newest = render_png("x - y", pixels_per_em=48)
    page.give("paste", newest)
    page.wait("document.querySelectorAll('#history-list li').length > 0")
    assert {image for _, image in backend.sent} == {newest}


def test_nothing_is_read_where_the_new_image_can_not_be_shown(page, backend):
    give(page)
    page.js(SLOW_DECODING)
    page.give("paste", b"no image")
    page.press("Enter")
    page.wait("document.querySelector('#notice.wrong')?.innerText")
    page.js("new Promise((done) => setTimeout(done, 400))")
    assert backend.sent == []


def test_drawing_is_cropped_to_its_ink(page, backend):
    page.press("d")
    box = page.box("#drawing")
    x, y = box["x"] + 200, box["y"] + 60
    page.drag([(x, y), (x + 50, y), (x + 100, y)])
    page.drag([(x, y), (x, y + 40)])
    page.press("z", "Control")
    read(page)
    image = Image.open(io.BytesIO(backend.sent[0][1])).convert("L")

    assert image.size == (2 * (100 + 3 + 32), 2 * (3 + 32))
    assert image.getpixel((image.width // 2, image.height // 2)) < 50
    assert {image.getpixel(corner) for corner in ((0, 0), (image.width - 1, image.height - 1))} == {255}

    page.click("#drawing-clear")
    page.press("Enter")
    page.wait("document.getElementById('notice').innerText === 'Nothing is drawn yet'")


def test_finger_draws_too(page, backend):
    page.press("d")
    box = page.box("#drawing")
    page.touch([(box["x"] + 100 + 20 * i, box["y"] + 80) for i in range(4)])
    page.js("document.getElementById('drawing-width').value = 8")
    page.touch([(box["x"] + 100, box["y"] + 120)])
    page.click("#read")
    page.wait("document.querySelectorAll('#history-list li').length === 1")

    assert size_of(backend.sent[0][1]) == (2 * (60 + 4 + 1.5 + 32), 2 * (40 + 4 + 1.5 + 32))


def test_part_of_a_screenshot_is_cropped(page, backend):
    give(page)
    page.press("x")
    page.wait("document.getElementById('crop-size').innerText")
    box = page.box("#cropper")
    left, top = box["x"] + (box["width"] - 3 * SIZE[0]) / 2, box["y"] + (box["height"] - 3 * SIZE[1]) / 2
    page.drag([(left + 3 * x, top + 3 * y) for x, y in ((2, 2), (30, 30), (62, 50))])
    page.press("ArrowRight")
    page.press("Enter")
    page.wait("document.getElementById('about').innerText.startsWith('60 ')")
    read(page)

    assert size_of(backend.sent[0][1]) == (60, 48)


def test_camera_takes_a_picture_to_crop(page, backend):
    page.click("[data-mode=camera]")
    page.wait("document.getElementById('video').videoWidth")
    page.click("#read")
    page.wait("document.getElementById('crop-size').innerText")
    assert page.js("document.getElementById('video').srcObject") is None
    page.press("Enter", "Control")
    page.wait("document.querySelectorAll('#history-list li').length === 1")

    assert size_of(backend.sent[0][1])[0] > 100


def test_refused_camera_is_reported(page):
    page.js("navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', 'NotAllowedError')), 0")
    page.press("k")
    page.wait("document.getElementById('notice').innerText.startsWith('The browser did not allow the camera')")
    page.press("Escape")
    assert page.text("#notice") == ""


def test_readings_are_kept_shown_again_and_deleted(page, backend, url):
    give(page)
    read(page)
    page.press("e")
    page.press("End")
    page.type(" + d")
    page.wait("document.querySelector('#history-list code').innerText === '\\\\frac{a}{b} + c + d'")
    page.press("Escape")
    read(page)
    page.go(url)
    assert page.js("[...document.querySelectorAll('#history-list code')].map((node) => node.innerText)") == [
        "\\frac{a}{b} + c",
        "\\frac{a}{b} + c + d",
    ]
    backend.sent.clear()
    page.click("#history-list li:last-child .again")
    page.wait("document.querySelectorAll('.formula svg').length === 2")
    assert page.js("document.querySelector('.result textarea').value") == "\\frac{a}{b} + c + d"
    assert page.text("#about") == f"{SIZE[0]} × {SIZE[1]} pixels"
    assert backend.sent == []

    page.click("#history-list li:first-child .delete")
    page.wait("document.querySelectorAll('#history-list li').length === 1")
    page.click("#history-clear")
    assert page.text("#history-clear") == "Delete all 1 readings?"
    page.click("#history-clear")
    page.wait("document.getElementById('history').hidden")
    page.go(url)
    assert page.js("document.getElementById('history').hidden")


def test_browser_without_storage_still_reads(page, url):
    refuse = "Object.defineProperty(window, 'indexedDB', { get() { throw new DOMException('', 'SecurityError'); } })"
    page.send("Page.addScriptToEvaluateOnNewDocument", source=refuse)
    page.go(url)
    give(page)
    read(page)

    assert page.text(".history-head .small").startswith("This browser keeps no history")


def test_language_changes_at_once_and_is_remembered(page, url):
    give(page)
    read(page)
    page.press("l")
    assert page.js("document.documentElement.lang") == "zh-CN"
    assert page.text(".verdict") == "两者结果不同"
    assert page.text("[data-model=handwriting] .badges") == "把握 87%"
    assert page.text("#language") == "English"
    page.go(url)
    assert page.text(".invitation") == "粘贴公式"


def test_light_and_dark_follow_the_system_until_one_is_chosen(page, url):
    back = "getComputedStyle(document.body).backgroundColor"
    light = page.js(back)
    page.scheme(True)
    dark = page.js(back)
    assert (light, dark) == ("rgb(246, 247, 249)", "rgb(15, 18, 22)")
    page.click("#theme")
    assert page.js(back) == light
    page.go(url)
    assert page.js(back) == light


def test_phone_shows_everything_without_scrolling_sideways(page):
    page.size(420, 900)
    give(page)
    read(page)
    first, second = page.box("[data-model=handwriting]"), page.box("[data-model=nano]")

    assert (first["x"], first["width"]) == (second["x"], second["width"])
    for mode in ("draw", "camera", "image"):
        page.js(f"document.querySelector('[data-mode={mode}]').click()")
        assert page.js("document.documentElement.scrollWidth") <= 420


def test_busy_server_is_asked_again_with_a_notice(page, backend):
    backend.refusals += [refusal(429, "queue_full", Retry_After="1")] * 2
    give(page)
    page.js(
        "window.texts = []; new MutationObserver(() => texts.push(document.getElementById('results').innerText))"
        ".observe(document.getElementById('results'), { subtree: true, childList: true, characterData: true })"
    )
    read(page)

    assert page.js("texts.some((text) => text.includes('The server is busy; trying again in 1 s'))")
    assert len(backend.sent) == 2


@pytest.mark.parametrize(
    ("status", "code", "text"),
    [
        (400, "bad_image", "The server can't read this image; save it as PNG or JPEG"),
        (413, "too_large", "The image is too large; crop it or scale it down"),
        (504, "generation_timeout", "It took too long; crop the image to one formula"),
    ],
)
def test_error_is_shown_in_the_readers_language(page, backend, status, code, text):
    backend.refusals += [refusal(status, code, "file: why"), refusal(status, code, "file: why")]
    give(page)
    page.press("Enter")
    page.wait("document.querySelectorAll('.result.failed').length === 2")

    assert page.text(".result .problem") == text
    assert page.text(".result .detail") == "file: why"


def test_server_that_is_gone_is_reported(browser):
    with served(Backend().app()) as address:
        page = browser.page(address)
        give(page)
    page.press("Enter")
    page.wait("document.querySelectorAll('.result.failed').length === 2")

    assert page.text(".result .problem") == "The server does not answer; is texlens ui still running?"
    assert page.text("#read span") == "Read"
    page.close()


def test_large_image_is_scaled_down_with_a_remark(page, backend):
    large = io.BytesIO()
    Image.new("L", (5000, 3600), 255).save(large, "PNG")
    page.give("drop", large.getvalue())
    page.wait("document.getElementById('about').innerText")
    assert page.text("#about") == "4714 × 3394 pixels, scaled down"
    read(page)
    assert size_of(backend.sent[0][1]) == (4714, 3394)


def test_file_that_is_not_an_image_is_not_sent(page, backend):
    page.give("paste", b"text", "notes.txt", "text/plain")
    page.wait("document.getElementById('notice').innerText === 'notes.txt is not an image'")
    page.give("drop", b"damaged", "cut.png")
    page.wait("document.getElementById('notice').innerText.startsWith('cut.png can')")
    assert backend.sent == []


def test_reading_in_progress_can_be_stopped(page, backend):
    backend.pause_s = 600.0
    try:
        give(page)
        page.press("Enter")
        page.wait("document.querySelectorAll('.token-row .token').length === 2")
        assert page.text("#read span") == "Stop"
        page.press("Escape")
        page.wait("document.querySelectorAll('.result').length === 0")
        assert page.text("#read span") == "Read"
    finally:
        backend.pause_s = 0.0


def test_letter_shortcuts_can_be_switched_off(page):
    page.press("?")
    page.click("#letters")
    page.press("Escape")
    page.press("d")
    assert page.js("document.querySelector('[data-mode=draw]').getAttribute('aria-pressed')") == "false"
    assert page.js("document.getElementById('help').open") is False


def test_every_control_has_a_name_and_is_reached_by_keyboard(page):
    give(page)
    read(page)
    unnamed = page.js(
        "[...document.querySelectorAll('button, select, textarea, input, canvas')]"
        ".filter((node) => !node.closest('[hidden], details:not([open])') && node.tabIndex >= 0)"
        ".filter((node) => !(node.innerText || node.getAttribute('aria-label') || node.labels?.length))"
        ".map((node) => node.outerHTML)"
    )
    assert unnamed == []
    page.js("document.activeElement.blur()")
    page.press("Tab")
    assert page.js("document.activeElement.className") == "skip"


def test_two_dropped_files_are_both_read(page, backend):
    images = {f"{text}.png": render_png(text, pixels_per_em=40) for text in ("x + y", "z")}
    page.drop(images)
    page.wait("document.getElementById('notice').innerText === '2 images read; all are in the history'")

    assert [image for model, image in backend.sent if model == "nano"] == list(images.values())
    assert page.js("document.querySelectorAll('#history-list li').length") == 2


def test_bad_file_among_several_is_named_and_the_others_are_read(page, backend):
    page.drop({"good.png": FORMULA, "bad.png": b"no image", "fine.png": render_png("z")})
    page.wait("document.getElementById('notice').innerText.startsWith('bad.png can')")

    assert page.js("document.querySelectorAll('#history-list li').length") == 2
    assert len(backend.sent) == 4


def test_settings_are_sent_only_where_they_were_changed(page, backend):
    give(page)
    read(page)
    assert backend.options == {}
    page.click("#options summary")
    assert page.js("document.getElementById('option-prompt').placeholder") == "Read this."
    page.js(
        "for (const [name, value] of [['prompt', 'What is it?'], ['temperature', '1.5'], ['min_p', '0.1']])"
        "{ const field = document.getElementById(`option-${name}`); field.value = value;"
        " field.dispatchEvent(new Event('input', { bubbles: true })); }"
    )
    assert page.text("#options-count") == "3 changed"
    page.js("document.activeElement.blur()")
    read(page)
    assert backend.options == {"prompt": "What is it?", "temperature": "1.5", "min_p": "0.1"}

    page.js("document.getElementById('options-reset').click()")
    page.js("document.activeElement.blur()")
    read(page)
    assert backend.options == {}


def test_errors_are_chinese_in_chinese_mode(page, backend):
    page.press("l")
    give(page)
    read(page)
    editor = "document.querySelector('[data-model=handwriting] textarea')"
    for latex, problem in {
        "\\frac{a": "无法绘制：“{”没有闭合（第 5 个字符）",
        "\\foo": "无法绘制：未知命令“\\foo”（第 0 个字符）",
        "a}": "无法绘制：“}”没有对应的左括号；请删除它，或补上“{”（第 1 个字符）",
        "\\begin{foo}x\\end{foo}": "无法绘制：未知环境“foo”（第 0 个字符）",
    }.items():
        page.js(f"{editor}.value = {json.dumps(latex)}; {editor}.dispatchEvent(new Event('input'))")
        page.wait(f"document.querySelector('[data-model=handwriting] .problem')?.innerText === {json.dumps(problem)}")
    page.press("Escape")
    page.press("l")
    assert page.text("[data-model=handwriting] .problem").startswith("This can't be drawn: unknown environment")
    page.press("l")
    backend.refusals += [refusal(500, "internal_error", "the model failed"), refusal(400, "bad_image", "file: why")]
    page.press("Enter")
    page.wait("document.querySelectorAll('.result.failed').length === 2")
    texts = page.js("[...document.querySelectorAll('.result.failed .formula')].map((node) => node.innerText).join(' ')")
    assert not re.search("[A-Za-z]{4,}", texts.replace("JPEG", "")), texts


def test_theme_button_is_a_half_filled_circle(page):
    symbol = page.js(
        "(({ width, height, borderRadius, borderTopStyle, backgroundImage }) => "
        "[width === height, borderRadius, borderTopStyle, backgroundImage.includes('linear-gradient(90deg')])"
        "(getComputedStyle(document.getElementById('theme'), '::before'))"
    )
    assert symbol == [True, "50%", "solid", True]


@pytest.mark.slow
def test_texlens_ui_reads_with_the_bundled_model(browser, tmp_path):
    log = tmp_path / "log"
    with log.open("w") as file:
        server = subprocess.Popen(
            [sys.executable, "-m", "texlens", "ui", "--no-browser", "--port", "0"], stderr=file, env=environment()
        )
    try:
        until = time.monotonic() + 300
        while not (match := re.search(r"http://127\.0\.0\.1:\d+/", log.read_text())) and time.monotonic() < until:
            assert server.poll() is None, log.read_text()
            time.sleep(0.1)
        assert match, log.read_text()
        page = browser.page(match[0])
        assert page.text("#model-name") == "nano"
        page.give("paste", render_png("x^2 + y^2 = 1"))
        page.wait("!document.getElementById('shown').hidden")
        read(page)
        assert page.js("document.querySelector('.result textarea').value") == "x^2 + y^2 = 1"
        assert page.text(".badges").endswith("% sure")
        assert page.wrongs == []
        page.close()
    finally:
        server.terminate()
        assert server.wait(300) == 0
    assert "/v1/read" not in log.read_text()
