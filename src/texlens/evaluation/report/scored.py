"""The report of a file of predictions: scores and rows, no run behind them."""

from collections.abc import Sequence
from pathlib import Path

from texlens.evaluation.comparison import compare
from texlens.evaluation.report.content import ReportData
from texlens.evaluation.report.write import write_report
from texlens.metrics.cdm import rules_named
from texlens.metrics.prediction import Prediction


def write_scored_report(path: Path, source: Path, predictions: Sequence[Prediction], cdm: str) -> Path:
    comparison = compare({"text": predictions}, rules=rules_named(cdm))
    subtitle = str(source) if cdm == "default" else f"{source}, CDM as {cdm}"
    return write_report(path, ReportData(title=source.stem, subtitle=subtitle, comparison=comparison))
