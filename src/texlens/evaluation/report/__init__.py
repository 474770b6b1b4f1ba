"""The report: one HTML file that shows what was run and what came of it, and that needs nothing beside it."""

from texlens.evaluation.report.content import ReportData, RowCounts
from texlens.evaluation.report.write import write_report

__all__ = ["ReportData", "RowCounts", "write_report"]
