from types import SimpleNamespace

import pytest

from texlens.adapters.plan import Coverage
from texlens.models.bundled import bundled_config
from texlens.planner.cpu import CpuRates, plan_on_cpu
from texlens.planner.rows import RowSize
from texlens.planner.work import ModelWork

CONFIG = bundled_config("nano")
RATES = CpuRates("a CPU", 2, "2.13", training=2e10, reading=1e10, rows=8, date="2026-11-30")
ADAPTER = SimpleNamespace(coverage=[Coverage("vision", 24, 24, 10)])
ROW = RowSize(((8, 24),), text=50, answer=20)


def planned(**options):
    values = {"trained_rows": 1_320, "test_rows": 260, "is_measured_model": True, **options}
    return plan_on_cpu(RATES, CONFIG, ADAPTER, [ROW], **values)


def test_time_follows_from_the_measured_rates():
    plan, work = planned(), ModelWork.of(CONFIG)
    per_row = work.training(ROW, vision_is_trained=True) / 2e10
    assert plan.rows_per_s == pytest.approx(1 / per_row)
    assert plan.seconds == pytest.approx(1_320 * per_row)
    assert plan.evaluation.seconds == pytest.approx(2 * 260 * work.reading(ROW) / 1e10)
    assert plan.to_json()["rates"]["training"] == 2e10


def test_what_is_unknown_is_none_and_another_model_is_a_guess():
    assert planned(trained_rows=None).seconds is None
    assert planned(test_rows=0).evaluation is None
    assert len(planned().notes) == 1
    assert "order of magnitude" in planned(is_measured_model=False).notes[1]
