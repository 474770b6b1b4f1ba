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


def test_split_is_checked_before_a_model_is_loaded():
    assert "did you mean test?" in refused("compare", str(RUN), "--split", "tets")


def test_a_folder_given_twice_is_refused(tmp_path):
    assert "named twice" in refused("compare", str(RUN), str(tmp_path), str(tmp_path))


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    assert "not a run folder" in refused("compare", str(tmp_path))
