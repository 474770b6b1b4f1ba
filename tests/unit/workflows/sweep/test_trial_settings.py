from types import SimpleNamespace

import pytest

from texlens.adapters.plan import Coverage
from texlens.config.load import build_config
from texlens.core.errors import ConfigError
from texlens.workflows.sweep.trial_settings import measured_often, planned_measurements, with_features_cached


def prepared(validation: int = 12, groups: tuple[str, ...] = ("text-attention",)):
    splits = SimpleNamespace(train=range(80), validation=range(validation))
    coverage = [Coverage(group, int(group in groups), 1, 10) for group in ("text-attention", "vision", "merger")]
    return SimpleNamespace(splits=splits, plan=SimpleNamespace(coverage=coverage))


def config(**train):
    return build_config({"model": {"path": "nano"}, "data": {"path": "demo"}, "train": {"steps": 100, **train}})


def test_a_trial_is_measured_five_times_unless_the_settings_say_how_often():
    often = measured_often(config(), prepared())
    assert (often.train.validation.every_steps, planned_measurements(often, prepared())) == (20, 5)
    explicit = measured_often(config(validation={"every_steps": 30}), prepared())
    assert (explicit.train.validation.every_steps, planned_measurements(explicit, prepared())) == (30, 4)


def test_without_validation_rows_there_is_nothing_to_compare():
    with pytest.raises(ConfigError, match=r"set data\.splits\.validation"):
        measured_often(config(), prepared(validation=0))


@pytest.mark.parametrize(
    ("changes", "groups", "expected"),
    [
        ({}, ("text-attention",), "on"),
        ({}, ("text-attention", "vision"), "off"),
        ({"compute": {"backend": "plain"}}, ("text-attention",), "off"),
    ],
)
def test_features_of_a_frozen_tower_are_kept(changes, groups, expected):
    cached = with_features_cached(config(**changes), prepared(groups=groups), {"train": changes})
    assert cached.train.cache_features == expected


def test_the_run_files_own_word_on_features_holds():
    explicit = config(cache_features="off")
    assert with_features_cached(explicit, prepared(), {"train": {"cache_features": "off"}}) is explicit
