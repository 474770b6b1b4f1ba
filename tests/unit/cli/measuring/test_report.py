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


def test_a_split_without_predictions_is_refused():
    assert "no predictions of base on validation" in refused("report", str(RUN), "--split", "validation")


def test_split_is_checked():
    assert "did you mean test?" in refused("report", str(RUN), "--split", "tets")
