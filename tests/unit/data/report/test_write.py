import re

from tests.unit.data.pictures import png
from tests.unit.data.report.pages import HOSTILE, page
from tests.unit.data.tables import write_parquet
from texlens.data.load import load_split
from texlens.data.report.content import PictureRow, Section
from texlens.data.sample import LazyImage


def test_a_report_shows_findings_leaks_plan_vocabulary_and_samples(splits, tmp_path):
    html = page(splits, tmp_path / "report.html")
    for text in (
        "image in two splits",
        "unreadable image",
        "LaTeX does not parse",
        "1 of 2 different labels",
        "recommended",
    ):
        assert text in html
    assert r"<code>\frac</code>" in html
    assert html.count('class="panel sample"') == 10
    assert html.count('class="formula"') >= 6


def test_nothing_is_fetched_and_no_row_can_act_as_markup(splits, tmp_path):
    html = page(splits, tmp_path / "report.html")
    assert HOSTILE not in html
    assert not re.search(r'(src|href)="(?!data:|#)', re.sub(r"<use[^>]*>", "", html))
    assert "default-src 'none'" in html


def test_sections_of_others_are_in_the_report_and_its_menu(splits, tmp_path):
    pictures = [("as it is", LazyImage.from_bytes(png())), ("lost", LazyImage.from_bytes(b"no"))]
    section = Section("augment", "Augmentation", "Drawn again each epoch.", [PictureRow("train-0", pictures)])
    html = page(splits, tmp_path / "report.html", sections=[section])
    assert '<a href="#augment">Augmentation</a>' in html
    assert '<section id="augment">' in html
    assert "as it is" in html


def test_a_data_set_without_a_readable_image_has_a_report_too(tmp_path):
    write_parquet(tmp_path / "train.parquet", ["x"], [b"no"])
    rows = {"train": load_split(str(tmp_path))}
    assert "unreadable image" in page(rows, tmp_path / "report.html")
