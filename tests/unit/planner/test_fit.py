from tests.unit.planner.configs import config_of
from texlens.planner.fit import as_overrides, candidates, fit, with_changes


def test_smaller_batches_keep_the_rows_of_a_step():
    changes = [
        change for change in candidates(config_of(batch_size=8, backend="plain")) if "train.batch_size" in change
    ]
    assert [(change["train.batch_size"], change["train.gradient_accumulation"]) for change in changes[1:4]] == [
        (4, 2),
        (2, 4),
        (1, 8),
    ]


def test_recompute_set_by_the_user_is_raised():
    changes = list(candidates(config_of(batch_size=8, recompute="none")))
    assert any(change.get("train.compute.recompute") == "full" for change in changes)
    assert not any("train.compute.gradient_checkpointing" in change for change in changes)


def test_fit_gives_the_first_change_that_helps_and_no_more():
    change = fit(config_of(batch_size=8, backend="plain"), lambda other: other.base.quantize == "nf4")
    assert change == {"train.compute.gradient_checkpointing": True, "base.quantize": "nf4"}
    assert as_overrides(change) == ["train.compute.gradient_checkpointing=true", "base.quantize=nf4"]


def test_fit_is_none_when_nothing_helps():
    assert fit(config_of(batch_size=2, backend="plain"), lambda other: False) is None


def test_changes_that_can_t_be_combined_are_left_out():
    assert with_changes(config_of(), {"train.batch_size": 0}) is None
