import pytest

from tests.unit.planner.configs import config_of
from texlens.models.bundled import bundled_config
from texlens.planner.gpus import find_gpu
from texlens.planner.plan import plan_on_gpu
from texlens.planner.rows import RowSize


@pytest.mark.parametrize("backend", ["plain", "packed"])
def test_nano_model_fits_a_small_gpu(backend):
    config = bundled_config("nano")
    assert config is not None
    plan = plan_on_gpu(config_of(backend=backend), config, [RowSize(((4, 12),), 60, 40)] * 16, find_gpu("rtx3060-12g"))
    assert plan.fits
    assert plan.change == {}
    assert plan.backend == backend
    assert plan.to_json()["seconds_per_epoch"] is not None


def test_limit_that_no_pack_fits_is_noted():
    config, rows = bundled_config("nano"), [RowSize(((4, 12),), 60, 40)] * 16
    assert config is not None
    notes = [plan_on_gpu(config_of(memory_gib=gib), config, rows, find_gpu("l4")).notes for gib in (0.01, 4)]
    assert [any("so the run is refused" in note for note in plan_notes) for plan_notes in notes] == [True, False]
