"""Rows of a comparison as text."""

from texlens.evaluation.comparison import compare
from texlens.evaluation.row_view import rows_text
from texlens.metrics.prediction import Prediction


def test_each_system_has_a_line_with_its_edits():
    base = [Prediction("a", "x y", "x z"), Prediction("b", "x", "", "failed", error="no image")]
    adapter = [Prediction("a", "x y", "x y"), Prediction("b", "x", "x x", "length")]
    text = rows_text(compare({"base": base, "adapter": adapter}), 5)
    assert text == (
        "[a]\n  reference  x y\n  base       x z  (1 edit)\n  adapter    x y  (exact)\n\n"
        "[b]\n  reference  x\n  base       failed: no image\n  adapter    x x  (1 edit, cut at the token limit)"
    )


def test_only_as_many_rows_as_asked_for():
    rows = [Prediction(str(number), "x", "x") for number in range(3)]
    assert rows_text(compare({"base": rows, "adapter": rows}), 1).count("reference") == 1


def test_rows_come_in_the_order_of_the_data():
    rows = [Prediction(name, "x", "x") for name in ("a", "b", "c")]
    text = rows_text(compare({"base": rows, "adapter": rows}), 2, order=["c", "a", "b"])
    assert [line for line in text.splitlines() if line.startswith("[")] == ["[c]", "[a]"]
