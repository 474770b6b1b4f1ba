import pytest

from texlens.config.train import TrainSettings
from texlens.core.errors import ConfigError
from texlens.planner.steps import rows_and_batches
from texlens.training.arguments import check_train_settings, warmup_note


@pytest.mark.parametrize(
    ("batch_size", "accumulation", "processes", "expected"),
    [(8, 1, 1, (8, 1)), (8, 3, 1, (8, 3)), (8, 1, 2, (4, 1)), (4, 4, 2, (4, 2)), (3, 2, 2, (3, 1)), (4, 3, 2, (3, 2))],
)
def test_processes_of_the_plain_backend_share_a_step(batch_size, accumulation, processes, expected):
    settings = TrainSettings(batch_size=batch_size, gradient_accumulation=accumulation)
    assert rows_and_batches(settings, processes) == expected
    assert expected[0] * expected[1] * processes == batch_size * accumulation


def test_rows_that_can_not_be_divided_evenly_are_refused():
    with pytest.raises(ConfigError, match=r"is 3, which 2 processes .* make it a multiple of 2"):
        rows_and_batches(TrainSettings(batch_size=3), 2)


def test_unknown_tracker_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match=r"no tracker is named 'wandbb'; did you mean wandb"):
        check_train_settings(TrainSettings(logging={"trackers": ["wandbb"]}), has_gpu=False)


@pytest.fixture
def all_installed(monkeypatch):
    monkeypatch.setattr("texlens.training.arguments.importlib.util.find_spec", lambda name: object())
    for name in ("SWANLAB_API_KEY", "SWAN_LAB", "SWANLAB_MODE", "WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)


def with_tracker(name: str) -> TrainSettings:
    return TrainSettings(logging={"trackers": [name]})


@pytest.mark.parametrize(
    ("tracker", "extra"), [("swanlab", "trackers"), ("wandb", "trackers"), ("trackio", "trackio")], ids=str
)
def test_tracker_that_is_not_installed_is_named_with_its_extra(tracker, extra, monkeypatch):
    monkeypatch.setattr("texlens.training.arguments.importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=rf"{tracker} is not installed; pip install 'texlens\[{extra}\]'"):
        check_train_settings(with_tracker(tracker), has_gpu=False)


@pytest.mark.parametrize(
    ("tracker", "key", "others"),
    [
        ("swanlab", "SWANLAB_API_KEY", ("SWAN_LAB", "SWANLAB_MODE")),
        ("wandb", "WANDB_API_KEY", ("WANDB_MODE",)),
    ],
    ids=str,
)
def test_a_missing_key_is_reported_and_each_name_of_it_is_taken(tracker, key, others, all_installed, monkeypatch):
    with pytest.raises(
        ConfigError, match=rf"{tracker} needs {key} in the environment or .env, or {others[-1]}=offline"
    ):
        check_train_settings(with_tracker(tracker), has_gpu=False)
    for name in (key, *others):
        monkeypatch.setenv(name, "x")
        check_train_settings(with_tracker(tracker), has_gpu=False)
        monkeypatch.delenv(name)


@pytest.mark.parametrize("tracker", ["tensorboard", "trackio"])
def test_local_trackers_need_no_key(tracker, all_installed):
    check_train_settings(with_tracker(tracker), has_gpu=False)


def test_warm_up_as_long_as_the_run_is_noted():
    long = TrainSettings(steps=5, optimizer={"warmup_steps": 5})
    assert warmup_note(long, 8) == [
        "train.optimizer.warmup_steps: 5 of 5 steps: the learning rate is not reached before the end"
    ]
    assert warmup_note(TrainSettings(steps=5, optimizer={"warmup_steps": 4}), 8) == []
