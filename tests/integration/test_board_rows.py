"""The board's pages of data and corrections as a person uses them, in headless Chromium."""

import hashlib
import json
import os
from functools import partial

import pytest

from tests.fixtures.browser import chromium
from tests.fixtures.drawn_images import drawn
from tests.fixtures.running_server import running
from tests.integration.board.pages import SIZES, fill, fits
from tests.integration.board.pages import save_picture as save_whole_picture
from tests.unit.data.tables import write_parquet
from texlens.board.app import create_app
from texlens.board.jobs import list_jobs
from texlens.board.workspace import open_workspace
from texlens.data.edits.log import EditLog
from texlens.data.load import load_split
from texlens.latex.render.formats import render_png
from texlens.workflows.learn.folder import HOLD_OUT_SHARE
from texlens.workflows.learn.images import is_held_out
from texlens.workflows.learn.reading import ImageReading, ReadingFile
from texlens.workflows.learn.session import MIN_HOLD_OUT, MIN_TRAIN, LearnSession

HOSTILE = "<img src=x onerror=\"window.wrongs.push('ran')\"><script>window.wrongs.push('ran')</script>"
LABELS = [r"\frac{1}{2}", "x^2", "x^2", HOSTILE, r"\alpha+\beta"]
DESKTOP, PHONE = SIZES["desktop"], SIZES["phone"]
save_picture = partial(save_whole_picture, whole=False)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def workspace(tmp_path):
    return open_workspace(tmp_path / "runs")


@pytest.fixture
def open_page(browser, workspace):
    pages = []
    with running(create_app(workspace)) as address:

        def open_at(path, size=DESKTOP, **options):
            page = browser.page(f"{address}{path}?token={workspace.token}", width=size[0], height=size[1], **options)
            pages.append(page)
            return page

        yield open_at
        for page in pages:
            assert page.wrongs == []
            page.close()


@pytest.fixture
def data(tmp_path):
    pictures = [drawn(120, 40, seed) for seed in (0, 1, 1, 2, 3)]
    write_parquet(tmp_path / "d" / "train-00000-of-00001.parquet", LABELS, pictures)
    return tmp_path / "d"


def open_data(page, data):
    fill(page, "#path", str(data))
    page.click("form.open-data button")
    page.wait("document.querySelectorAll('#rows .row-entry').length === 5")


def test_rows_are_searched_checked_and_edited(open_page, workspace, data):
    page = open_page("/data")
    open_data(page, data)
    page.wait("document.querySelectorAll('.row-entry .formula svg').length >= 4")
    save_picture(page, "data")
    assert "<script>" in page.text("[data-row='train/3'] code")
    page.click("#controls button.plain")
    page.wait("document.querySelector('#controls select[aria-label=Problems]')")
    page.wait("document.querySelector('[data-row=\"train/2\"] .badges').textContent.includes('duplicate-row')")
    page.click("[data-row='train/2']")
    page.wait("document.querySelector('#detail[open] .beside .row-entry')")
    page.wait("document.querySelector('#detail .live svg')")
    save_picture(page, "data-row")
    fill(page, "#detail textarea", r"\sqrt{y}")
    page.press("Enter", "Control")
    page.wait("document.querySelector('#detail .history li')")
    for answer in ("null", "'hard'"):  # the first question is cancelled
        page.js(f"void (window.prompt = () => {answer})")
        page.click("#detail [data-t='data.mark']")
    page.wait("document.querySelector('#detail [data-t=\"data.unmark\"]')")
    page.click("#detail .detail-head button")
    page.wait("document.querySelector('[data-row=\"train/2\"] code').textContent === '\\\\sqrt{y}'")
    fill(page, "#controls input[type=search]", "sqrt")
    page.wait("document.querySelectorAll('#rows .row-entry').length === 1")
    assert "text=sqrt" in page.js("location.search")
    edits = next((workspace.state / "edits").glob("*.jsonl"))
    assert [(edit.kind, edit.new) for edit in EditLog(edits).edits()] == [("label", r"\sqrt{y}"), ("mark", "hard")]
    assert load_split(str(data), edits=str(edits)).text(2) == r"\sqrt{y}"
    assert load_split(str(data)).text(2) == "x^2"


def test_hostile_labels_are_inert_on_a_phone_in_chinese(open_page, data):
    page = open_page("/data", PHONE, dark=True)
    page.click("#language")
    open_data(page, data)
    page.click("[data-row='train/3']")
    page.wait("document.querySelector('#detail[open] textarea')")
    assert page.js("document.querySelector('#detail textarea').value") == HOSTILE
    assert page.js("document.querySelectorAll('#detail script, #rows script, #rows img[src=x]').length") == 0
    page.wait("document.querySelector('#detail .live').textContent.length > 0")
    assert "保存" in page.text("#detail .actions")
    save_picture(page, "data-phone-zh")
    assert fits(page)


def photos_of(folder, count, reading="x"):
    """A folder of printed formulas, read already by a reader that sees the same in each."""
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:02}.png").write_bytes(render_png(f"x_{{{number}}}"))
    (folder / "<b>hostile<b>.png").write_bytes(render_png("h+1"))
    session = LearnSession(folder, hold_out=0.4)
    identity = session._identity(session.state.model)
    readings = [ImageReading(key, reading, reading, log_probability=-0.5) for key in session.images.by_key]
    ReadingFile(session.folder.root / "readings", identity).append(readings)
    return folder


def open_photos(page, photos):
    fill(page, "#folder", str(photos))
    page.click("form.open-data button")
    page.wait("document.querySelector('#correction')")


def test_ten_pictures_are_corrected_from_the_keyboard(open_page, tmp_path):
    photos = photos_of(tmp_path / "photos", 13, reading=HOSTILE)
    page = open_page("/learn")
    save_picture(page, "learn-open")
    open_photos(page, photos)
    save_picture(page, "learn")
    assert page.js("document.querySelector('#correction').value") == HOSTILE
    for number in range(10):
        page.wait(f"document.querySelector('#correcting .small').textContent.endsWith('· {14 - number} to go')")
        fill(page, "#correction", f"y_{{{number}}}")
        page.wait("document.querySelector('#correcting .live svg')")
        page.press("Enter")
    page.wait("document.querySelector('#correcting .small').textContent.endsWith('· 4 to go')")
    page.press("z", "Alt")
    page.wait("document.querySelector('#correcting .small').textContent.endsWith('· 5 to go')")
    page.press("x", "Alt")
    page.wait("document.querySelector('#state').textContent.includes('1 left out')")
    log = EditLog(photos / "learn" / "corrections.jsonl")
    labels = [state.label for state in log.rows().values() if state.label is not None and state.excluded is None]
    assert sorted(labels) == [f"y_{{{number}}}" for number in range(9)]
    assert page.js("document.querySelectorAll('main script, main img[src=x]').length") == 0


def test_the_page_of_corrections_fits_a_phone_in_chinese_and_dark(open_page, tmp_path):
    page = open_page("/learn", PHONE, dark=True)
    page.click("#language")
    open_photos(page, photos_of(tmp_path / "photos", 8, reading=r"\frac{a}{b}+c"))
    page.wait("document.querySelector('#correcting .live svg')")
    assert "正确，下一张" in page.text("#do-confirm")
    save_picture(page, "learn-phone-zh")
    assert fits(page)


def test_uploaded_pictures_begin_a_folder_of_their_own(open_page, workspace, monkeypatch):
    monkeypatch.setattr("texlens.board.corrections.opened.OpenedFolders.start", lambda *_: _Started())
    page = open_page("/learn")
    fill(page, "#new-name", "phone")
    page.js(
        """(async () => { const transfer = new DataTransfer();
        const canvas = document.createElement('canvas'); canvas.width = 40; canvas.height = 20;
        const blob = await new Promise((done) => canvas.toBlob(done));
        transfer.items.add(new File([blob], '<i>a</i>.png', { type: 'image/png' }));
        transfer.items.add(new File(['no picture'], 'b.png', { type: 'image/png' }));
        const input = document.getElementById('files'); input.files = transfer.files;
        input.dispatchEvent(new Event('change')); })()"""
    )
    page.wait("document.querySelector('#notice').textContent.includes('b.png')")
    assert [path.suffix for path in (workspace.state / "pictures" / "phone").glob("*.png")] == [".png"]
    assert page.js("document.querySelectorAll('#notice i').length") == 0


class _Started:
    def to_json(self):
        return {}


def sided_photos(folder, train, hold_out, share):
    """A folder of formulas, so many of them on each side; their labels by name."""
    folder.mkdir()
    labels, missing = {}, {False: train, True: hold_out}
    for number in range(1_000):
        label = f"a_{{{number}}}+b"
        data = render_png(label)
        side = is_held_out(hashlib.sha256(data).hexdigest(), share)
        if missing[side]:
            missing[side] -= 1
            labels[f"{number:03}.png"] = label
            (folder / f"{number:03}.png").write_bytes(data)
        if not any(missing.values()):
            return labels
    raise AssertionError("no such pictures")


def wait_until_all_is_read(page, workspace, images):
    """By the chosen model, and no process is left."""
    read = "document.querySelector('#state [data-t=\"learn.read\"]').textContent.match(/[0-9]+/g)"
    is_reading = "document.querySelector('#training [data-t=\"learn.reading\"]')"
    page.wait(f"String({read}) === '{images},{images}' && !{is_reading}")
    assert not any(job.is_running for job in list_jobs(workspace.state))


@pytest.mark.skipif("BOARD_LEARN" not in os.environ, reason="trains; make test-all sets BOARD_LEARN=1")
@pytest.mark.parametrize(("size", "language"), [(DESKTOP, "en"), (PHONE, "zh")], ids=["desktop-en", "phone-zh"])
def test_pictures_are_read_corrected_and_learned_with_a_paired_test(open_page, workspace, tmp_path, size, language):
    """The bundled model reads 14 pictures, a person corrects them, one button trains and tests, the person decides."""
    labels = sided_photos(tmp_path / "photos", MIN_TRAIN, MIN_HOLD_OUT, HOLD_OUT_SHARE)
    page = open_page("/learn", size)
    if language == "zh":
        page.click("#language")
    open_photos(page, tmp_path / "photos")
    for left in range(len(labels), 0, -1):
        page.wait(f"document.querySelector('#correcting .small')?.textContent.includes(' {left} ')")
        name = page.text("#correcting .small").split(" · ")[0]
        fill(page, "#correction", labels[name])
        page.press("Enter")
    page.wait("document.querySelector('#train') && !document.querySelector('#train').disabled")
    page.click("#training details.settings summary")
    fill(page, "#rehearsal", "0")
    fill(page, "#overrides", "train.epochs=1")
    page.click("#train")
    page.wait("document.querySelector('.learn-round table') || document.querySelector('#notice.wrong')")
    state = json.loads((tmp_path / "photos" / "learn" / "state.json").read_text())
    (result,) = state["rounds"]
    assert (result["trained_rows"], result["rehearsal_rows"], result["hold_out"]["rows"]) == (
        MIN_TRAIN,
        0,
        MIN_HOLD_OUT,
    )
    numbers = page.js("[...document.querySelectorAll('.learn-round tbody td')].map((cell) => cell.textContent)")
    test = result["hold_out"]
    assert [numbers[0], *numbers[4:6]] == [str(test[name]) for name in ("rows", "gained", "lost")]
    assert float(numbers[6]) == pytest.approx(test["p_value"], abs=0.0005)
    assert numbers[1].startswith(f"{100 * test['before']['value']:.1f}%")
    assert numbers[2].startswith(f"{100 * test['after']['value']:.1f}%")
    save_picture(page, f"learn-round-{language}")
    assert fits(page)
    page.click(".learn-round button")
    page.wait("document.querySelector('.learn-round [data-t=\"learn.chosen\"]')")
    wait_until_all_is_read(page, workspace, len(labels))
    after = json.loads((tmp_path / "photos" / "learn" / "state.json").read_text())
    assert after["rounds"][0]["kept"] is not result["kept"]
    assert (after["model"] == after["start"]) is result["kept"]
