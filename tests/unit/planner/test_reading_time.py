import pytest

from texlens.planner.gpus import find_gpu
from texlens.planner.reading_time import reading_time_on_gpu
from texlens.planner.rows import RowSize
from texlens.planner.work import ModelWork

QWEN3_VL_4B = ModelWork(text=4_022_000_000, vision=415_000_000)
ROW = RowSize(((8, 84),), text=137, answer=100)


@pytest.mark.parametrize(("rows", "measured_ms"), [(16, 3.87), (64, 4.30), (256, 7.61)])
def test_steps_on_an_h200_are_near_the_measured_ones(rows, measured_ms):
    long = RowSize(((2, 2),), text=10_001, answer=10_000)
    time = reading_time_on_gpu([long], rows, QWEN3_VL_4B, find_gpu("h200"), batch_size=rows, quantize="none", systems=1)
    assert 1000 * time.seconds / 10_000 == pytest.approx(measured_ms, rel=0.08)


def test_two_systems_take_twice_the_time_and_more_rows_together_less():
    def seconds(**options):
        values = {"batch_size": 16, "quantize": "none", **options}
        return reading_time_on_gpu([ROW], 512, QWEN3_VL_4B, find_gpu("h200"), **values).seconds

    assert seconds() == pytest.approx(2 * seconds(systems=1))
    assert seconds(batch_size=256) < seconds() / 4
