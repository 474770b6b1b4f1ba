import json

import pytest
import yaml
from typer.testing import CliRunner

from tests.unit.workflows.sweep.conftest import values  # noqa: F401 - a fixture
from texlens.cli.main import app
from texlens.core.errors import ConfigError


@pytest.fixture
def run_file(values, tmp_path):  # noqa: F811
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump({**values, "output": str(tmp_path / "runs")}))
    return str(file)


def invoke(*arguments: str):
    return CliRunner().invoke(app, ["sweep", *arguments], catch_exceptions=False)


def test_a_sweep_leaves_a_report_and_goes_on_from_its_folder(run_file, tmp_path):
    output = json.loads(invoke(run_file, "--over", "adapter.rank=2,4", "--json").stdout)
    assert output["sweep"] == str(tmp_path / "runs/small-sweep")
    assert {trial["number"] for trial in output["trials"]} == {1, 2}
    assert (tmp_path / "runs/small-sweep/report.html").is_file()
    shown = invoke("--resume", output["sweep"]).stdout
    assert f"best:   {output['sweep']}/trials/00{output['best']}" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--over is missing"),
        (("--over", "adapter.rnk=2,4"), "did you mean 'adapter.rank'"),
        (("--over", "train.optimizer.learning_rate=1e-5..1e-3"), "--trials is missing"),
    ],
)
def test_what_can_not_be_swept_is_refused_before_a_folder_is_made(run_file, tmp_path, arguments, message):
    with pytest.raises(ConfigError, match=message):
        invoke(run_file, *arguments)
    assert not (tmp_path / "runs").exists()


def test_resume_takes_no_other_settings(tmp_path):
    with pytest.raises(ConfigError, match="--resume goes on with the sweep's own settings"):
        invoke("--resume", str(tmp_path), "--trials", "3")
