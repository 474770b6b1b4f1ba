"""Steps of a run and rows of each."""

import pytest

from texlens.config.train import TrainSettings
from texlens.core.errors import ConfigError
from texlens.planner.steps import planned_steps, rows_and_batches, steps_per_epoch


@pytest.mark.parametrize(
    ("rows", "batch", "accumulation", "steps"), [(496, 1, 8, 62), (10, 4, 2, 2), (1, 8, 4, 1), (17, 4, 4, 2)]
)
def test_a_last_step_with_fewer_batches_counts(rows, batch, accumulation, steps):
    assert steps_per_epoch(rows, batch, accumulation) == steps


def test_the_settings_decide_the_length():
    assert planned_steps(TrainSettings(epochs=5, batch_size=1, gradient_accumulation=8), 496) == 310
    assert planned_steps(TrainSettings(steps=30), 496) == 30


@pytest.mark.parametrize(
    ("batch", "accumulation", "processes", "expected"),
    [(8, 1, 2, (4, 1)), (4, 4, 2, (4, 2)), (6, 1, 3, (2, 1)), (8, 1, 1, (8, 1))],
)
def test_processes_share_the_rows_of_a_step(batch, accumulation, processes, expected):
    settings = TrainSettings(batch_size=batch, gradient_accumulation=accumulation)
    assert rows_and_batches(settings, processes) == expected


def test_rows_that_can_not_be_shared_are_refused():
    with pytest.raises(ConfigError, match="is 8, which 3 processes"):
        rows_and_batches(TrainSettings(batch_size=8), 3)
