from pathlib import Path

from texlens.config.load import build_config
from texlens.evaluation.comparison import compare
from texlens.evaluation.measured import MeasuredComparison, data_name, describe_rows
from texlens.evaluation.train_overlap import TrainOverlap
from texlens.metrics.prediction import Prediction

DATA = {"path": "linxy/LaTeX_OCR", "subset": "small", "split": "test"}


def test_title_names_data_rows_and_what_was_trained_on():
    comparison = compare({"base": [Prediction("1", "x", "x")]})
    measured = MeasuredComparison(comparison, "test", DATA, TrainOverlap(1, 9, 0, 0, 0), Path("report.html"))
    assert measured.title == (
        "Comparison on linxy/LaTeX_OCR small, split test: none of 1 row shares an image or a label with train"
    )
    value = measured.to_json()
    assert (value["rows"], value["label"], value["data"]["subset"]) == (1, "test", "small")
    assert value["train_overlap"]["either"] == 0


def test_rows_are_described_by_data_split_count_and_settings_of_reading():
    config = build_config({"model": {"path": "nano"}, "data": {"path": "demo"}, "evaluate": {"max_rows": 5}})
    described = describe_rows(config, "test", 5)
    assert described == {
        "path": "demo",
        "subset": None,
        "split": "test",
        "source_split": "test",
        "rows": 5,
        "max_rows": 5,
        "max_new_tokens": 256,
        "temperature": 0.0,
    }
    assert data_name(described) == "demo, split test"
