import re

import pytest

from tests.unit.data.pictures import png
from tests.unit.data.tables import write_parquet
from texlens.data.geometry import ImageGeometry
from texlens.data.load import load_split
from texlens.data.report.content import PictureRow, Section, inspect
from texlens.data.report.write import write_data_report
from texlens.data.sample import LazyImage
from texlens.data.validate.run import Options

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def splits(tmp_path):
    texts = [rf"\frac {{ {letter} }} {{ 2 }}" for letter in "abcde"] + [r"\nosuch", HOSTILE, "x ^ 2"]
    write_parquet(tmp_path / "train.parquet", texts, [png(64, 32, seed) for seed in range(7)] + [b"no"])
    write_parquet(tmp_path / "test.parquet", [texts[0], "y_1"], [png(64, 32, 0), png(80, 40, 9)])
    return {name: load_split(str(tmp_path), split=name) for name in ("train", "test")}


def inspect_rows(splits, **options):
    return inspect(splits, Options(ImageGeometry(16)), **options)


def page(splits, path, **options) -> str:
    write_data_report(path, inspect_rows(splits), splits, title="rows", family="qwen3-vl", **options)
    return path.read_text(encoding="utf-8")


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
