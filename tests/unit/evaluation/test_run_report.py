import json
import shutil
from pathlib import Path

import pytest

from texlens.core.errors import RunError
from texlens.evaluation.comparison import compare
from texlens.evaluation.measured import MeasuredComparison
from texlens.evaluation.run_report import write_run_report
from texlens.evaluation.saved_run import open_run
from texlens.evaluation.train_overlap import TrainOverlap
from texlens.metrics.prediction import Prediction

FIXTURE = Path(__file__).parents[2] / "fixtures" / "run_0_1"


def test_report_shows_the_run_and_the_claim(tmp_path, monkeypatch):
    shutil.copytree(FIXTURE, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    config, folder = open_run(Path("runs/nano"))
    comparison = compare({"base": [Prediction("test-0", "z - 1", "z - 1")]})
    data = {"path": "data", "subset": None, "split": "test"}
    result = MeasuredComparison(comparison, "test", data, TrainOverlap(1, 4, 1, 0, 1), folder.report)
    page = write_run_report(config, config, folder, "test", result).read_text()
    for text in (
        "base on data, split test",
        "1 of 1 row shares an image or a label with train",
        "128 of 117,920 parameters",
        "lora, rank 1, alpha 2",
        "Transcribe the LaTeX of this image.",
        "prompt: Transcribe the LaTeX",
    ):
        assert text in page, text


def test_a_part_that_is_missing_is_left_out(tmp_path, monkeypatch):
    shutil.copytree(FIXTURE, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    config, folder = open_run(Path("runs/nano"))
    for name in ("environment.json", "coverage.json", "data.json", "metrics.jsonl"):
        (folder.path / name).unlink()
    comparison = compare({"base": [Prediction("test-0", "z - 1", "z - 1")]})
    result = MeasuredComparison(comparison, "test", {"path": "data"}, TrainOverlap(1), folder.report)
    assert write_run_report(config, config, folder, "test", result).is_file()


def test_a_strange_key_of_the_coverage_is_one_line(tmp_path, monkeypatch):
    shutil.copytree(FIXTURE, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    config, folder = open_run(Path("runs/nano"))
    (folder.path / "coverage.json").write_text(json.dumps([{"group": "vision", "strange": 1}]))
    comparison = compare({"base": [Prediction("test-0", "z - 1", "z - 1")]})
    result = MeasuredComparison(comparison, "test", {"path": "data"}, TrainOverlap(1), folder.report)
    with pytest.raises(RunError, match=r"coverage\.json: damaged \(.*strange.*\); restore it"):
        write_run_report(config, config, folder, "test", result)
