import json

import pytest
from typer.testing import CliRunner

from texlens.cli.main import app
from texlens.cli.training.init import chosen_gpu, init
from texlens.config.load import load_config
from texlens.core.errors import ConfigError


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


def invoke(*arguments: str):
    return CliRunner().invoke(app, ["init", *arguments], catch_exceptions=False)


def test_flags_alone_write_the_file_and_say_the_cost(tmp_path):
    shown = invoke("mine.yaml", "--data", "demo", "--model", "nano").stdout
    assert "917,504 trainable of 12,643,584 parameters" in shown
    assert "written: mine.yaml" in shown
    assert load_config(tmp_path / "mine.yaml").name == "mine"


def test_json_has_the_data_and_the_plan():
    output = json.loads(invoke("--data", "demo", "--memory-gib", "24", "--model", "nano", "--json").stdout)
    assert output["file"] == "run.yaml"
    assert output["data"]["splits"]["train"] == 660
    assert output["plan"]["on_gpu"]["fits"] is True


def test_an_existing_file_stays(tmp_path):
    (tmp_path / "run.yaml").write_text("mine")
    with pytest.raises(ConfigError, match=r"run\.yaml: exists already"):
        invoke("--data", "demo")
    assert (tmp_path / "run.yaml").read_text() == "mine"
    invoke("--data", "demo", "--force")
    assert load_config(tmp_path / "run.yaml").data.path == "demo"


def test_without_a_terminal_the_data_must_be_named():
    with pytest.raises(ConfigError, match="--data is missing; give it, or run this in a terminal"):
        invoke()


def test_a_terminal_asks_what_is_open(tmp_path, monkeypatch):
    answers = {"Data": "demo", "Goal": "handwriting", "GPU": "0", "Model": "nano"}
    questions = []

    def ask(question: str, default: str) -> str:
        questions.append(question.split(":")[0].split(" ")[0])
        return answers[questions[-1]]

    monkeypatch.setattr("texlens.cli.training.init._ask_in_terminal", ask)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    init(tmp_path / "answers.yaml", None, None, None, None, None, None, False, False)
    assert questions == ["Data", "Goal", "GPU", "Model"]
    assert load_config(tmp_path / "answers.yaml").data.augment.kind == "formula"


def test_gpus_are_named_or_given_by_memory():
    assert chosen_gpu("h20", None, None).title == "NVIDIA H20"
    assert chosen_gpu(None, 8.0, None).memory_gib == 8.0
    assert chosen_gpu("h20", 40.0, None).memory_gib == 40.0
    assert chosen_gpu("none", None, None) is None
    assert chosen_gpu(None, 0.0, None) is None
    with pytest.raises(ConfigError, match="'many' is not a number"):
        chosen_gpu(None, None, lambda question, default: "many")
