"""What a checkpoint was trained on and with."""

import pytest

from texlens.config.load import build_config
from texlens.core.errors import RunError
from texlens.training.checkpoints.origin import Origin, differences, origin_of


def config(**train):
    return build_config({"name": "r", "model": {"path": "nano"}, "data": {"path": "demo"}, "train": train})


def test_an_origin_is_read_as_it_was_written(tmp_path):
    origin = origin_of(config(steps=3), "b" * 64, {"train": "r"})
    origin.write(tmp_path, finished=True)
    back = Origin.read(tmp_path)
    assert (back.base, back.rows, back.settings, back.finished) == (origin.base, origin.rows, origin.settings, True)
    assert differences(origin, back) == {}


def test_differences_are_named_with_both_values():
    before = origin_of(config(steps=3), "b" * 64, {"train": "r"})
    now = origin_of(config(steps=4), "c" * 64, {"train": "s"})
    assert differences(before, now) == {
        "base": f"weights {'b' * 12} -> {'c' * 12}",
        "train rows": "other rows or images",
        "train.steps": "3 -> 4",
    }


def test_settings_that_do_not_change_what_is_trained_may_differ():
    first, second = (origin_of(config(steps=3, workers=number), "b", {}) for number in (0, 2))
    assert differences(first, second) == {}


def test_an_old_checkpoint_has_none_and_a_damaged_one_is_an_error(tmp_path):
    assert Origin.read(tmp_path) is None
    (tmp_path / "origin.json").write_text("[1")
    with pytest.raises(RunError, match="damaged"):
        Origin.read(tmp_path)


def test_a_setting_that_came_later_and_is_off_is_no_difference():
    now = origin_of(config(steps=3), "b" * 64, {"train": "r"})
    older = {key: value for key, value in now.settings.items() if key != "adapter.from"}
    before = Origin(now.base, now.rows, older)
    assert differences(before, now) == {}
    chosen = Origin(now.base, now.rows, {**now.settings, "adapter.from": "runs/x"})
    assert differences(before, chosen) == {"adapter.from": "unset -> runs/x"}
