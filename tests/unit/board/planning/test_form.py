import pytest

from texlens.board.planning.form import changed_settings, compared_settings, run_file, starting_point, tree_of
from texlens.board.workspace import open_workspace
from texlens.config.load import build_config
from texlens.config.yaml_file import parse_yaml
from texlens.core.errors import ConfigError, RunError


def test_settings_become_a_run_file_that_reads_back_the_same():
    tree = tree_of(
        ['name="007"', "model.path=nano", "adapter.targets=[vision, merger]", "train.steps=10", 'data.prompt="a: b"']
    )
    assert tree["name"] == "007"
    assert tree["adapter"] == {"targets": ["vision", "merger"]}
    assert parse_yaml(run_file(tree), "x") == tree
    assert tree["data"]["prompt"] == "a: b"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["train.steps=1", "train.epochs=2"], "train.epochs and train.steps are both set"),
        (["nonsense"], "write it as key=value"),
        (["model=nano", "model.path=nano"], "model is a value, not a branch"),
    ],
)
def test_settings_that_exclude_each_other_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        tree_of(settings)


def test_a_recipe_is_a_starting_point(folder):
    settings = dict(starting_point("recipe:nano_latex-ocr_lora", open_workspace(folder)))
    assert (settings["model.path"], settings["adapter.targets"], settings["train.epochs"]) == (
        "nano",
        ["all-linear"],
        2,
    )


def test_a_run_is_a_starting_point_without_its_defaults(folder):
    settings = dict(starting_point("run:nano", open_workspace(folder)))
    assert settings["adapter.rank"] == 1
    assert settings["train.steps"] == 4
    assert not {"output", "schema_version", "adapter.dora", "model.source"} & set(settings)


def test_the_settings_of_a_run_give_the_same_run_again():
    config = build_config(
        {
            "model": {"path": "nano"},
            "data": {"path": "demo"},
            "adapter": {"kind": "moe-lora", "experts": 4},
            "train": {"steps": 3},
        }
    )
    tree = tree_of(
        [
            f"{key}={value}" if not isinstance(value, str) else f'{key}="{value}"'
            for key, value in changed_settings(config)
        ]
    )
    assert build_config(tree) == config


def test_unknown_starting_points_are_refused(folder):
    workspace = open_workspace(folder)
    with pytest.raises(ConfigError, match="did you mean"):
        starting_point("recipe:nano_latex-ocr_lor", workspace)
    with pytest.raises(RunError, match="no such run"):
        starting_point("run:../nano", workspace)
    with pytest.raises(ConfigError, match="neither a recipe nor a run"):
        starting_point("/etc/passwd", workspace)


def test_settings_of_a_run_and_a_recipe_are_compared_with_defaults_included(folder):
    rows = compared_settings("recipe:nano_latex-ocr_lora", "run:nano", open_workspace(folder))
    values = {row["key"]: (row["left"], row["right"]) for row in rows}
    assert values["adapter.rank"] == (16, 1)
    assert values["model.path"] == ("nano", "base")
    assert compared_settings("run:nano", "run:nano", open_workspace(folder)) == []
