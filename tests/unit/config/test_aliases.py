import pytest
from pydantic import create_model

from texlens.config.aliases import RENAMED, apply_aliases
from texlens.config.load import build_config, load_config
from texlens.config.run import RunConfig
from texlens.core.errors import ConfigError

MINIMAL = {"model": {"path": "nano"}, "data": {"path": "demo"}}


def test_old_key_moves_to_its_new_name():
    values = {"evaluate": {"limit": 8}}
    assert apply_aliases(values, RunConfig) == ["evaluate.limit"]
    assert values == {"evaluate": {"max_rows": 8}}


def test_key_moves_into_a_branch_that_was_not_there():
    inner = create_model("inner", prompt=(str, ""))
    settings = create_model("settings", data=(inner, None))
    values = {"data": {"question": "Read."}}
    apply_aliases(values, settings)
    assert values == {"data": {"prompt": "Read."}}


def test_every_old_setting_of_data_base_and_evaluate_is_read():
    config = build_config(
        {
            "model": {"path": "nano"},
            "data": {
                "path": "demo",
                "question": "Read.",
                "system": "You read.",
                "augment": {"kind": "formula", "chance": 0.25, "turn_degrees": 1.0},
            },
            "base": {"quantise": "nf4", "quantise_vision": True, "double_quantise": False},
            "evaluate": {"limit": 8},
        }
    )
    assert (config.data.prompt, config.data.system_prompt) == ("Read.", "You read.")
    assert (config.data.augment.probability, config.data.augment.rotate_degrees) == (0.25, 1.0)
    assert (config.base.quantize, config.base.quantize_vision, config.base.double_quantize) == ("nf4", True, False)
    assert config.evaluate.max_rows == 8


def test_old_and_new_name_together_are_refused():
    with pytest.raises(ConfigError, match=r"'evaluate.limit' is the old name of 'evaluate.max_rows' and both are set"):
        build_config({**MINIMAL, "evaluate": {"limit": 8, "max_rows": 9}})


def test_old_names_are_reported_in_one_line_per_file(tmp_path, capsys):
    file = tmp_path / "old.yaml"
    file.write_text("model: {path: nano}\ndata: {path: demo, question: Read.}\nevaluate: {limit: 8}\n")
    load_config(file)
    assert capsys.readouterr().err == (
        f"texlens: note: {file}: old names of settings still work but will be removed: "
        "data.question -> data.prompt, evaluate.limit -> evaluate.max_rows\n"
    )


def test_old_names_work_in_overrides():
    config = build_config(MINIMAL, overrides=["evaluate.limit=8", "data.question=Read: all", "data.path=x"])
    assert (config.evaluate.max_rows, config.data.prompt, config.data.path) == (8, "Read: all", "x")


def test_new_names_are_names_of_the_settings():
    landed = [new for new in RENAMED.values() if not new.startswith(("train.", "adapter."))]
    tree = build_config({**MINIMAL, "data": {"path": "demo", "augment": "formula"}}).model_dump()
    for path in landed:
        branch = tree
        for name in path.split("."):
            assert name in branch, path
            branch = branch[name]
