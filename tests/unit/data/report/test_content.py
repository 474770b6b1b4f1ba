import pytest

from tests.unit.data.pictures import png
from tests.unit.data.tables import write_parquet
from texlens.data.geometry import ImageGeometry
from texlens.data.load import load_split
from texlens.data.report.content import inspect
from texlens.data.report.write import write_data_report
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


def test_a_formula_that_can_not_be_drawn_says_why(splits, tmp_path):
    assert "can&#39;t be drawn: unknown command" in page(splits, tmp_path / "report.html")


def test_counts_are_those_of_the_rows(splits):
    report = inspect_rows(splits).to_json()
    assert report["splits"]["train"]["rows"] == 8
    assert report["splits"]["test"]["distinct_labels"] == 2
    assert report["commands"] == {"\\frac": 6, "\\nosuch": 1}
    assert report["plan"]["rows"] == 9
    assert report["plan"]["unreadable"] == 1
    assert report["validation"]["kinds"]["unreadable-image"] == 1


def test_samples_come_from_each_split_alike_and_are_the_same_for_a_seed(splits):
    drawn = inspect_rows(splits, samples=6, seed=3).samples
    assert [split for split, _ in drawn] == ["train"] * 4 + ["test"] * 2
    assert drawn == inspect_rows(splits, samples=6, seed=3).samples
