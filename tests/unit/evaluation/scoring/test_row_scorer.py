"""Rows scored in processes have the results of rows scored here."""

import pytest

from texlens.core.errors import ConfigError
from texlens.evaluation.comparison import compare
from texlens.evaluation.scoring import row_scorer
from texlens.evaluation.scoring.row_result import ScoringSettings
from texlens.evaluation.scoring.row_scorer import RowScorer, scoring_processes
from texlens.metrics.prediction import Prediction

ROWS = [
    Prediction("a", r"\frac{1}{2}", r"\frac12", log_probability=-0.1),
    Prediction("b", "x^2", "$x^3$"),
    Prediction("c", "x", r"\frac{", stop="length"),
    Prediction("d", "y", "", stop="failed", error="no image"),
    Prediction("e", r"\sqrt{y}", r"\sqrt{y}", more_references=("z",)),
]
SETTINGS = ScoringSettings(("all",), draws=True)


@pytest.fixture(scope="module")
def of_processes():
    with RowScorer(SETTINGS, processes=1) as scorer:
        for row in ROWS[:3]:
            scorer.begin(row)
        results = list(scorer.results(ROWS))
        yield scorer, results


def test_results_do_not_depend_on_processes(of_processes):
    _, results = of_processes
    here = list(RowScorer(SETTINGS).results(ROWS))
    assert [result.stored for result in results] == [result.stored for result in here]
    assert [result.scored.statistics for result in results] == [result.scored.statistics for result in here]
    assert [result.scored.scored.prediction for result in results] == ROWS


def test_drawings_do_not_depend_on_processes(of_processes):
    scorer, _ = of_processes
    here = RowScorer(SETTINGS)
    list(here.results(ROWS))
    assert set(scorer.drawn.single) == set(here.drawn.single) >= {"x^2", r"\sqrt{y}"}
    assert scorer.drawn.pairs["x^2", "$x^3$"] == here.drawn.pairs["x^2", "$x^3$"]
    assert scorer.drawn.single[r"\sqrt{y}"] == here.drawn.single[r"\sqrt{y}"]
    assert scorer.drawn.characters == here.drawn.characters > 1000


def test_comparison_of_scored_rows_is_that_of_rows(of_processes):
    scorer, _ = of_processes
    systems = {
        "base": ROWS,
        "adapter": [*ROWS[:4], Prediction("e", r"\sqrt{y}", "y", more_references=("z",))],
    }
    known = scorer.scored(systems)
    assert compare(systems, known=known, resamples=10).to_json() == compare(systems, resamples=10).to_json()


def test_rows_of_a_process_that_ended_are_scored_here(capsys):
    with RowScorer(SETTINGS, processes=1) as scorer:
        for worker in scorer._workers._workers:
            worker._process.kill()
            worker._process.wait()
        results = list(scorer.results(ROWS))
    assert [result.stored for result in results] == [result.stored for result in RowScorer(SETTINGS).results(ROWS)]
    assert "a process that scores rows ended" in capsys.readouterr().err


def test_processes_are_for_many_rows_on_several_cores(monkeypatch):
    monkeypatch.setattr(row_scorer.os, "sched_getaffinity", lambda _: range(16), raising=False)
    assert (scoring_processes(1002), scoring_processes(20)) == (8, 0)
    monkeypatch.setattr(row_scorer.os, "sched_getaffinity", lambda _: range(2), raising=False)
    assert scoring_processes(1002) == 0


def test_unknown_metric_is_rejected_before_rows_are_read():
    with pytest.raises(ConfigError, match="no metric is named 'exct'"):
        RowScorer(ScoringSettings(("exct",)))
