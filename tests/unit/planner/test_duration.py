import pytest

from tests.unit.planner.configs import config_of
from texlens.models.bundled import bundled_config
from texlens.planner.duration import time_step
from texlens.planner.gpus import find_gpu
from texlens.planner.plan import plan_on_gpu
from texlens.planner.rows import RowSize


def test_call_is_bound_by_flops_or_by_memory_traffic():
    gpu = find_gpu("a100-80g")
    products = time_step([(int(312e12 * 0.79), 1)], gpu).device
    traffic = time_step([(1, int(2039e9 * 0.9))], gpu).device
    assert time_step([(1, 1)] * 80_000, gpu).seconds == pytest.approx(1.0, rel=0.01)
    assert products == pytest.approx(1.0, rel=1e-6)
    assert traffic == pytest.approx(1.0, rel=1e-6)


def test_gpus_share_the_rows_of_a_step_and_their_rates_add_up():
    config = bundled_config("nano")
    assert config is not None
    sizes = [RowSize(((4, 12),), 60, 40)] * 32
    single = plan_on_gpu(config_of(batch_size=8, backend="plain"), config, sizes, find_gpu("h20"))
    double = plan_on_gpu(config_of(batch_size=16, backend="plain"), config, sizes, find_gpu("h20"), gpus=2)
    assert double.memory == single.memory
    assert double.rows_per_second == pytest.approx(2 * single.rows_per_second)
    assert double.seconds_per_epoch == pytest.approx((single.seconds_per_epoch or 0) / 2)
