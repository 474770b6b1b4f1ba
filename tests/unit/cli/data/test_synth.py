import json

import pytest
from typer.testing import CliRunner

from texlens.cli.data import app
from texlens.core.errors import ConfigError

run = CliRunner().invoke


def test_synth_prints_the_account(tmp_path):
    arguments = ["synth", "-o", str(tmp_path / "set"), "--n", "5", "--processes", "1", "--json"]

    first = json.loads(run(app, arguments).stdout)
    second = json.loads(run(app, arguments).stdout)

    assert (first["kept"], first["unchanged"], second["unchanged"]) == (5, False, True)


@pytest.mark.parametrize(
    ("options", "output"),
    [(["--from", "list"], "--from list needs a list"), (["--min-tokens", "9", "--max-tokens", "8"], "is over")],
)
def test_impossible_options_are_reported(tmp_path, options, output):
    outcome = run(app, ["synth", "-o", str(tmp_path / "set"), *options])
    assert isinstance(outcome.exception, ConfigError)
    assert output in str(outcome.exception)
