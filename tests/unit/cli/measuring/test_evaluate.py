from pathlib import Path

import pytest
from typer.testing import CliRunner

from texlens.cli.main import app
from texlens.core.errors import TexlensError

RUN = Path(__file__).parents[3] / "fixtures" / "run_0_1" / "runs" / "nano"


def refused(*arguments: str) -> str:
    with pytest.raises(TexlensError) as caught:
        CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    return str(caught.value)


def test_a_checkpoint_needs_rows():
    error = refused("evaluate", "nano")
    assert "to score a checkpoint, name the rows with --data PATH" in error


def test_subset_belongs_to_data():
    assert "--subset belongs to --data" in refused("evaluate", str(RUN), "--subset", "small")


def test_a_checkpoint_is_one_system():
    assert "--system base: nano is one system" in refused("evaluate", "nano", "--data", "demo", "--system", "base")


def test_split_of_a_run_is_checked_before_a_model_is_loaded():
    assert "did you mean validation?" in refused("evaluate", str(RUN), "--split", "validaton")
