from pathlib import Path

import pytest

from texlens.config.load import build_config, dump_config, load_config, load_saved_config, with_absolute_paths
from texlens.core.errors import ConfigError

MINIMAL = {"model": {"path": "nano"}, "data": {"path": "demo"}}


@pytest.fixture
def run_file(tmp_path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(
        "model: {path: nano}\ndata: {path: demo}\ntrain:\n  epochs: 2\n  optimizer: {learning_rate: 1e-4}\n"
    )
    return path


def refusal(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    return str(caught.value)


def test_numbers_in_scientific_notation_are_numbers(run_file):
    assert load_config(run_file).train.optimizer.learning_rate == 1e-4


def test_an_override_is_laid_over_the_file(run_file):
    config = load_config(run_file, ["train.batch_size=4", "model.path=/models/x", "adapter.targets=[vision]"])
    assert (config.train.batch_size, config.model.path, config.adapter.targets) == (4, "/models/x", ("vision",))


def test_a_dumped_config_loads_as_the_same_config(tmp_path, run_file):
    config = load_config(run_file, ["adapter.vision={rank: 8, alpha: 16}", "data.splits.validation=0.1"])
    (tmp_path / "again.yaml").write_text(dump_config(config))
    assert load_config(tmp_path / "again.yaml") == config


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.bach_size=4", "unknown key 'train.bach_size'; did you mean 'train.batch_size'?"),
        ("learning_rate=1", "unknown key 'learning_rate'; did you mean 'train.optimizer.learning_rate'?"),
        ("adapter.rank=0", "'adapter.rank': input should be greater than or equal to 1 (got 0)"),
        ("data.splits.test=1.5", "'data.splits.test'"),
        ("model.path=", "'model.path': input should be a valid string"),
        ("foo", "write it as key=value"),
        ("train.epochs.x=1", "train.epochs is a value, not a branch"),
        ("adapter.targets=[]", "nothing would be trained"),
        ("train.validation.best_by=exact_match", "set generation_rows"),
        ("evaluate.metrics=[]", "'evaluate.metrics'"),
        ("name=../up", "'name'"),
    ],
)
def test_a_wrong_override_is_reported_in_one_line(run_file, override, message):
    message = refusal(run_file, override)
    assert message in message
    assert "\n" not in message


def test_metrics_are_a_list_or_names_with_commas(run_file):
    config = load_config(run_file, ["evaluate.metrics=bleu4, cdm_f1", "train.validation.metrics=[captions]"])
    assert config.evaluate.metrics == ("bleu4", "cdm_f1")
    assert config.train.validation.metrics == ("captions",)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["train.compute.backend=plain", "train.compute.pack_tokens=512"], "pack_tokens belongs to the packed backend"),
        (["train.compute.backend=plain", "train.compute.compile=on"], "compile belongs to the packed backend"),
        (
            ["train.compute.gradient_checkpointing=true", "train.compute.recompute=none"],
            "recompute is none; keep one of the two",
        ),
        (
            ["train.compute.pack_tokens=3"],
            "'train.compute.pack_tokens': input should be greater than or equal to 256 (got 3)",
        ),
    ],
)
def test_engine_settings_without_effect_are_refused(run_file, overrides, message):
    assert message in refusal(run_file, *overrides)


def test_a_key_written_twice_is_refused(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("model: {path: a}\nmodel: {path: b}\ndata: {path: c}\n")
    assert "line 2: 'model' is set twice" in refusal(path)


def test_what_is_not_yaml_is_named_with_its_line(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("model: {path: a\n")
    assert "not valid YAML" in refusal(path)


def test_a_missing_file_and_a_missing_branch_are_named(tmp_path):
    assert "no such run file" in refusal(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="'data' is missing"):
        build_config({"model": {"path": "nano"}})


def test_settings_are_frozen():
    config = build_config(MINIMAL)
    with pytest.raises(ValueError, match="frozen"):
        config.name = "other"


def test_local_paths_are_those_of_where_the_run_file_was_read(tmp_path, monkeypatch):
    for name in ("rows", "model", "demo", "elsewhere"):
        (tmp_path / name).mkdir()
    file = tmp_path / "run.yaml"
    file.write_text("model: {path: model}\ndata: {path: rows}\n")
    monkeypatch.chdir(tmp_path)
    config = load_config(file)
    assert (config.data.path, config.model.path) == (str(tmp_path / "rows"), str(tmp_path / "model"))
    (tmp_path / "config.yaml").write_text(dump_config(config))
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert load_saved_config(tmp_path / "config.yaml") == config


@pytest.mark.parametrize("path", ["demo", "owner/name", "data/nosuch", "a\0b"])
def test_other_names_of_data_stay_as_they_are(tmp_path, monkeypatch, path):
    (tmp_path / "demo").mkdir()
    monkeypatch.chdir(tmp_path)
    config = build_config({"model": {"path": "nano"}, "data": {"path": path}})
    assert with_absolute_paths(config) == config
