import pytest

from texlens.config.load import build_config
from texlens.config.overrides import lay_over, parse_override
from texlens.core.errors import ConfigError

MINIMAL = {"model": {"path": "nano"}, "data": {"path": "demo"}}


@pytest.mark.parametrize(
    ("override", "change"),
    [
        ("train.epochs=2", ("train.epochs", 2)),
        ("train.optimizer.learning_rate=1e-4", ("train.optimizer.learning_rate", 1e-4)),
        ("name=2026-11-30", ("name", "2026-11-30")),
        ("name=2023-99-99", ("name", "2023-99-99")),
        ("name=0b_", ("name", "0b_")),
        ("data.prompt=Read: all of it", ("data.prompt", "Read: all of it")),
        ("data.prompt=Read {this", ("data.prompt", "Read {this")),
        ("adapter.targets=[vision, q_proj]", ("adapter.targets", ["vision", "q_proj"])),
        ("data.subset=", ("data.subset", None)),
    ],
)
def test_value_is_yaml_or_else_the_text(override, change):
    assert parse_override(override) == change


def test_steps_replace_the_epochs_of_a_run_file(capsys):
    config = build_config({**MINIMAL, "train": {"epochs": 3}}, where="a.yaml", overrides=["train.steps=10"])
    assert (config.train.steps, config.train.epochs) == (10, None)
    assert capsys.readouterr().err == "texlens: note: --set: train.epochs of a.yaml is replaced\n"


def test_later_of_two_lengths_wins():
    config = build_config(MINIMAL, overrides=["train.steps=10", "train.epochs=2"])
    assert (config.train.steps, config.train.epochs) == (None, 2)


def test_branch_that_is_a_value_is_refused():
    with pytest.raises(ConfigError, match=r"--set train.epochs.x: train.epochs is a value, not a branch"):
        lay_over({"train": {"epochs": 2}}, [("train.epochs.x", 1)])
