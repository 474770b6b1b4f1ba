"""The run file of a round."""

from pathlib import Path

import pytest

from texlens.config.load import build_config, dump_config
from texlens.core.errors import ConfigError
from texlens.core.run_folder import RunFolder
from texlens.workflows.learn.round_settings import epochs_for, round_config


@pytest.mark.parametrize(("rows", "epochs"), [(20, 20), (300, 8), (1_000, 3), (100_000, 3)])
def test_few_rows_are_passed_more_often(rows, epochs):
    assert epochs_for(rows) == epochs


def test_the_bundled_model_begins_with_its_recipe(tmp_path):
    config = round_config("nano", tmp_path / "data", tmp_path / "round", 100)
    assert (config.model.path, config.adapter.kind, config.adapter.from_) == ("nano", "lora", None)
    assert (config.data.path, config.data.splits.validation, config.train.epochs) == (str(tmp_path / "data"), None, 20)


def run_with(tmp_path, **values):
    saved = {"model": {"path": "nano"}, "data": {"path": "demo", "prompt": "Read.", "limit": 7}, **values}
    folder = RunFolder.create(tmp_path, "old", dump_config(build_config(saved)))
    folder.adapter.mkdir()
    return folder


def test_a_run_goes_on_from_its_adapter_with_its_settings(tmp_path):
    run = run_with(tmp_path, adapter={"kind": "lora", "rank": 4, "init": "pissa"}, train={"steps": 30, "batch_size": 4})
    config = round_config(str(run.path), tmp_path / "data", tmp_path / "round", 400, ["train.batch_size=2"])
    assert (config.adapter.from_, config.adapter.rank, config.adapter.init) == (str(run.adapter), 4, "default")
    assert (config.data.prompt, config.data.limit) == ("Read.", None)
    assert (config.train.steps, config.train.epochs, config.train.batch_size) == (None, 6, 2)


def test_a_run_trained_in_full_goes_on_from_its_weights(tmp_path):
    run = run_with(tmp_path, adapter={"kind": "full"})
    config = round_config(str(run.path), tmp_path / "data", tmp_path / "round", 100)
    assert config.model.path == str(run.adapter)


def test_an_adapter_without_its_run_is_refused(tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ConfigError, match="name the run folder"):
        round_config(str(tmp_path), Path("data"), Path("round"), 100)
