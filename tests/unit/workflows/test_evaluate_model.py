"""What a name refers to decides how it is scored."""

import pytest
from rich.console import Console

from texlens.core.errors import ConfigError
from texlens.workflows import evaluate_model as module
from texlens.workflows.evaluate_model import evaluate_model, is_of_run

QUIET = Console(quiet=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": None}, "not a run folder; to score a checkpoint, name the rows with --data PATH"),
        ({"data": None, "subset": "small"}, "--subset belongs to --data"),
        ({"data": "demo", "checkpoint": "best"}, "--checkpoint best: nano is not a run folder"),
        ({"data": "demo", "system": "base"}, "--system base: nano is one system"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        evaluate_model("nano", **options, console=QUIET)


def test_a_checkpoint_is_read_on_the_named_rows(monkeypatch):
    configs = []
    monkeypatch.setattr(module, "evaluate_checkpoint", lambda config, console: configs.append(config) or "scores")
    about, scores = evaluate_model("nano", "demo", split="validation", overrides=["evaluate.max_rows=8"], console=QUIET)
    assert scores == "scores"
    assert about == {"model": "nano", "data": "demo", "subset": None, "split": "validation"}
    (config,) = configs
    assert (config.model.path, config.data.path, config.data.splits.test) == ("nano", "demo", "validation")
    assert config.evaluate.max_rows == 8


def test_what_is_no_run_is_not_of_a_run(tmp_path):
    assert not is_of_run("nano", None)
    assert not is_of_run(str(tmp_path), "demo")
