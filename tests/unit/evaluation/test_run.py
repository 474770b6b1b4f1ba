"""Evaluation of the run folder in tests/fixtures, read by the shipped model; see also tests/integration."""

import shutil
from pathlib import Path

import pytest
from rich.console import Console

from texlens.core.errors import DataError
from texlens.evaluation.run import compare_run, evaluate_run, report_run
from texlens.evaluation.saved_run import open_run

FIXTURE = Path(__file__).parents[2] / "fixtures" / "run_0_1"


@pytest.fixture
def run(tmp_path, monkeypatch) -> Path:
    shutil.copytree(FIXTURE, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return Path("runs/nano")


@pytest.fixture
def console(tmp_path):
    with (tmp_path / "log").open("w") as file:
        yield Console(file=file)


def test_every_system_is_scored_once(run, console, monkeypatch):
    from texlens.metrics.scores import Table

    tables = []
    original = Table.of
    monkeypatch.setattr(Table, "of", lambda *args, **kwargs: tables.append(args) or original(*args, **kwargs))
    result = compare_run(*open_run(run), console=console)
    assert len(tables) == 2
    assert list(result.comparison.systems) == ["base", "adapter"]


def test_evaluation_reports_data_rows_and_overlap(run, console):
    scores, about = evaluate_run(*open_run(run), split="test", system="base", console=console)
    assert (scores.rows, about["label"], about["data"]["path"]) == (4, "test", str(Path("data").absolute()))
    assert about["claim"] == "none of 4 rows shares an image or a label with train"


def test_report_needs_stored_predictions(run):
    config, folder = open_run(run)
    with pytest.raises(DataError, match="no predictions of base on train; run `texlens compare runs/nano` first"):
        report_run(config, folder, split="train")
