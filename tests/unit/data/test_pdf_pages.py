import io

import pytest
from PIL import Image

from texlens.core.errors import ConfigError, DataError
from texlens.data.pdf_pages import DPI, page_numbers, pdf_pages


@pytest.fixture
def paper(tmp_path):
    """Two pages of 72 x 144 points, the first one black, the second one white."""
    pages = [Image.new("RGB", (72, 144), color) for color in ("black", "white")]
    path = tmp_path / "paper.pdf"
    pages[0].save(path, "PDF", save_all=True, append_images=pages[1:], resolution=72)
    return path


def test_pages_are_rendered_at_the_documented_resolution(paper):
    (first, black), (second, white) = pdf_pages(paper)

    assert (first, second) == (1, 2)
    assert black.size == white.size == (DPI, 2 * DPI)
    assert black.load().getpixel((50, 50)) == (0, 0, 0)
    assert white.load().getpixel((50, 50)) == (255, 255, 255)
    assert white.where == f"{paper} page 2"


def test_chosen_pages_come_in_the_order_that_was_asked(paper):
    assert [number for number, _ in pdf_pages(paper, [2, 1])] == [2, 1]


def test_page_that_is_not_there_is_named(paper):
    with pytest.raises(DataError, match=r"paper\.pdf: no page 3, it has 2"):
        pdf_pages(paper, [1, 3])


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7\nnothing", b"hello"])
def test_damaged_file_is_one_line(tmp_path, content):
    (tmp_path / "x.pdf").write_bytes(content)
    with pytest.raises(DataError, match=r"x\.pdf: not a PDF that can be read"):
        pdf_pages(tmp_path / "x.pdf")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        pdf_pages(tmp_path / "x.pdf")


@pytest.mark.parametrize(
    ("text", "numbers"), [("2", [2]), ("1,3-5", [1, 3, 4, 5]), ("2-3, 3", [2, 3]), ("7-7", [7]), (" 1 ", [1])]
)
def test_page_numbers_and_ranges(text, numbers):
    assert page_numbers(text) == numbers


@pytest.mark.parametrize("text", ["", "0", "-1", "3-1", "a", "1-", "1-99999999", "1,,2", "1-2-3", "٣" * 20])
def test_other_texts_are_refused(text):
    with pytest.raises(ConfigError, match="--pages"):
        page_numbers(text)


def test_large_page_is_rendered_smaller(tmp_path, monkeypatch):
    monkeypatch.setattr("texlens.data.pdf_pages.MAX_PAGE_PIXELS", 10_000)
    data = io.BytesIO()
    Image.new("RGB", (72, 72)).save(data, "PDF", resolution=1)
    (tmp_path / "poster.pdf").write_bytes(data.getvalue())
    ((_, page),) = pdf_pages(tmp_path / "poster.pdf")
    width, height = page.size
    assert 9_000 <= width * height <= 11_000
