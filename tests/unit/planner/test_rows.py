from tests.unit.planner.configs import config_of
from texlens.models.bundled import bundled_config
from texlens.planner.gpus import find_gpu
from texlens.planner.plan import plan_on_gpu
from texlens.planner.rows import RowSize, batches_of


def test_the_worst_batch_is_as_long_as_the_longest_row():
    sizes = [RowSize(((2, 2),), 10, 4), RowSize(((2, 4),), 30, 9), RowSize(((2, 2),), 12, 5)]
    batches = batches_of(sizes, 2)
    assert batches.worst.length == 32
    assert batches.count == 2


def test_without_rows_a_typical_formula_is_assumed_with_a_note():
    config = bundled_config("nano")
    assert config is not None
    plan = plan_on_gpu(config_of(backend="plain"), config, [], find_gpu("t4"))
    assert any("285 tokens each are assumed" in note for note in plan.notes)
    assert plan.seconds_per_epoch is None
