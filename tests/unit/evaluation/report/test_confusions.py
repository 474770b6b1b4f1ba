from texlens.core.errors import LatexError
from texlens.evaluation.comparison import compare
from texlens.evaluation.report.confusions import confusion_rows
from texlens.evaluation.report.content import ReportData
from texlens.evaluation.report.write import write_report
from texlens.metrics.prediction import Prediction

COMPARISON = compare({"base": [Prediction("1", "x + \\alpha", "x - \\alpha 2")]})


def test_symbols_are_drawn_and_named():
    first, second = confusion_rows(COMPARISON, lambda token: f"<svg>{token}</svg>")
    assert "<code>2</code>" in first["read"]
    assert "nothing" in first["reference"]
    assert 'src="data:image/svg+xml;base64,' in second["reference"]
    assert second["counts"] == [1]


def test_a_symbol_that_can_not_be_drawn_or_is_markup_is_shown_as_text():
    def refuse(token: str) -> str:
        raise LatexError(token)

    comparison = compare({"base": [Prediction("1", "x", "<script>")]})
    symbols = "".join(row["read"] for row in confusion_rows(comparison, refuse))
    assert "<img" not in symbols
    assert "<script" not in symbols


def test_the_report_has_the_table_where_symbols_differ(tmp_path):
    page = write_report(tmp_path / "r.html", ReportData("t", COMPARISON)).read_text()
    heading = ">What is read as what</h"
    assert heading in page
    perfect = compare({"base": [Prediction("1", "x", "x")]})
    assert heading not in write_report(tmp_path / "p.html", ReportData("t", perfect)).read_text()
