import pytest
from PIL import Image, ImageDraw

from texlens.core.errors import DataError
from texlens.data.pdf_regions import WHOLE, PageRegion, parse_region, read_regions, region_images

pytest.importorskip("pypdfium2")


def write_paper(path):
    """One page of 200 x 100 points, its upper left quarter black."""
    page = Image.new("RGB", (200, 100), "white")
    ImageDraw.Draw(page).rectangle((0, 0, 99, 49), fill="black")
    page.save(path, "PDF", resolution=72)
    return path


def test_a_marked_part_is_cut_out_of_its_rendered_page(tmp_path):
    paper = write_paper(tmp_path / "paper.pdf")
    black, white = region_images(paper, [PageRegion(1, (0, 0, 0.49, 0.49)), PageRegion(1, (0.52, 0.52, 1, 1))])
    assert black.load().convert("L").getextrema()[1] < 60
    assert white.load().convert("L").getextrema()[0] > 200
    assert abs(black.size[0] - 0.49 * 200 * 200 / 72) <= 2
    assert black.where == f"{paper}#page=1&box=0,0,0.49,0.49"


def test_without_a_box_the_whole_page_is_meant(tmp_path):
    paper = write_paper(tmp_path / "paper.pdf")
    assert region_images(paper, [PageRegion(1)])[0].size == (round(200 * 200 / 72), round(100 * 200 / 72))
    assert PageRegion(1).name(paper) == f"{paper}#page=1"


def test_marks_are_lines_of_json(tmp_path):
    (tmp_path / "paper.jsonl").write_text('{"page": 2, "box": [0, 0.2, 1, 0.5], "text": "x"}\n\n{"page": 3}\n')
    assert read_regions(tmp_path / "paper.jsonl") == [PageRegion(2, (0, 0.2, 1, 0.5), "x"), PageRegion(3, WHOLE)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("x", "not a region"),
        ("[1]", "not a region"),
        ('{"page": 0}', "pages are counted from 1"),
        ('{"page": true}', "pages are counted from 1"),
        ('{"page": 1, "box": [0, 0.5, 1, 0.5]}', "left, top, right, bottom in fractions"),
        ('{"page": 1, "box": [0, 0, 2, 1]}', "left, top, right, bottom in fractions"),
        ('{"page": 1, "text": 3}', "is no text"),
    ],
)
def test_a_line_that_is_no_mark_is_named(line, reason, tmp_path):
    with pytest.raises(DataError, match=reason):
        parse_region(line)
    (tmp_path / "m.jsonl").write_text('{"page": 1}\n' + line)
    with pytest.raises(DataError, match=f"m.jsonl line 2: .*{reason}"):
        read_regions(tmp_path / "m.jsonl")
