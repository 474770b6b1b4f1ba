"""What the console shows."""

from rich.console import Console

from texlens.evaluation.comparison import compare
from texlens.evaluation.tables import comparison_table, p_text, points, scores_table, systems_table, verdict
from texlens.metrics.prediction import Prediction
from texlens.metrics.registry import metric_named
from texlens.metrics.scores import score
from texlens.metrics.statistics import Interval


def rows(right):
    return [Prediction(f"{row:03}", "x + y", "x+y" if row < right else "z") for row in range(200)]


def shown(table, width=120):
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(table)
    return console.export_text()


def test_scores_are_shown_with_their_intervals():
    text = shown(scores_table(score(rows(200)), "adapter on test"))
    assert "adapter on test (200 rows)" in text
    assert "Exact match" in text
    assert "100.0–100.0%" in text


def test_failed_rows_are_counted_in_the_title():
    failed = [*rows(1), Prediction("x", "x", "", stop="failed", error="x.png: damaged")]
    assert "(201 rows, 1 failed)" in shown(scores_table(score(failed)))


def test_a_comparison_shows_both_systems_the_difference_in_points_and_p():
    text = shown(comparison_table(compare({"base": rows(50), "adapter": rows(150)})))
    for word in ("base", "adapter", "25.0%", "75.0%", "+50.0", "< 0.0001"):
        assert word in text


def test_a_comparison_fits_a_console_of_80_columns():
    text = shown(comparison_table(compare({"base": rows(50), "adapter": rows(150)})), width=80)
    assert "+50.0" in text
    assert "Edit similarity" in text
    assert "(+43.0 … +57.0)" in text


def test_systems_fit_80_columns_and_no_name_is_cut():
    systems = {name: rows(right) for name, right in (("base", 50), ("adapter", 150), ("nano-handwriting-nf4", 130))}
    against_adapter = compare(systems).with_reference("adapter", without=["base"])
    text = shown(systems_table(against_adapter), width=80)
    for word in ("system", "adapter", "75.0%", "65.0%", "(−14.5 … −6.5)", "p < 0.0001"):
        assert word in text, text
    assert "more scores: --all" in text
    assert "…" not in text.replace(" … ", "")
    assert max(map(len, text.splitlines())) <= 80


def test_a_table_has_at_most_eight_scores_unless_all_are_asked_for():
    scores = score(rows(150))
    assert len(scores.metrics) > 8
    short, long = shown(scores_table(scores)), shown(scores_table(scores, show_all=True))
    assert f"{len(scores.metrics) - 8} more scores: --all" in short
    assert "Within 3 tokens" not in short
    assert "Within 3 tokens" in long
    assert "more scores" not in long
    assert "CDM F1" in short
    assert "Canonical match" in short


def test_names_in_a_table_are_not_markup():
    systems = {"[red]x[/red]": rows(50), "adapter": rows(150)}
    assert "[red]x[/red]" in shown(comparison_table(compare(systems), "runs/[/red]"))
    assert "[red]x[/red]" in shown(systems_table(compare(systems)), width=80)


def test_points_have_a_sign_except_zero():
    assert [points(value) for value in (0.123, -0.05, 0.0, -0.0001)] == ["+12.3", "−5.0", "0.0", "0.0"]


def test_small_p_values_are_not_shown_as_zero():
    assert p_text(1e-30) == "< 0.0001"
    assert p_text(0.0312) == "0.0312"


def test_verdict_follows_the_direction_and_the_interval():
    exact, repetition = metric_named("exact_match"), metric_named("repetition")
    assert verdict(exact, Interval(0.2, 0.1, 0.3)) == "better"
    assert verdict(repetition, Interval(0.2, 0.1, 0.3)) == "worse"
    assert verdict(repetition, Interval(-0.2, -0.3, -0.1)) == "better"
    assert verdict(exact, Interval(0.2, -0.1, 0.3)) == "unsure"
