import pytest
from rich.console import Console

from texlens.config.load import build_config
from texlens.planner.cpu import CpuRates
from texlens.planner.gpus import find_gpu
from texlens.planner.run_plan import plan_run
from texlens.workflows.run_cost import count_test_rows, cpu_plan, evaluation_on_gpu

RATES = CpuRates("a CPU", 2, "2.13", training=2e10, reading=1e10, rows=8, date="2026-11-30")


def config(train=None, **evaluate):
    values = {"model": {"path": "nano"}, "data": {"path": "demo"}, "evaluate": evaluate}
    return build_config({**values, "train": train or {"epochs": 2}})


def test_test_rows_are_counted_as_they_are_drawn():
    assert count_test_rows(config()) == 260
    assert count_test_rows(config(max_rows=100)) == 100
    assert count_test_rows(config(fraction=0.1)) == 26
    without = build_config({"model": {"path": "nano"}, "data": {"path": "demo", "splits": {"test": None}}})
    assert count_test_rows(without) == 0


@pytest.mark.parametrize(("train", "rows"), [({"epochs": 2}, 1_320), ({"steps": 10, "batch_size": 8}, 80)])
def test_minutes_are_of_all_steps(monkeypatch, train, rows):
    monkeypatch.setattr("texlens.workflows.run_cost.cpu_rates", lambda console: RATES)
    settings = config(train)
    plan = cpu_plan(settings, plan_run(settings), Console(quiet=True))
    assert plan.seconds == pytest.approx(rows / plan.rows_per_s)
    assert plan.evaluation.rows == 260


def test_a_gpu_plan_says_how_long_the_test_rows_take():
    settings = config()
    evaluation = evaluation_on_gpu(settings, plan_run(settings), find_gpu("h200"))
    assert (evaluation.rows, evaluation.systems) == (260, 2)
    assert 0 < evaluation.seconds < 600
