"""Commands that are refused."""

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
