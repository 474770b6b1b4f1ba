"""`texlens data mix`."""

import pytest
from typer.testing import CliRunner

from tests.unit.data.tables import write_splits
from texlens.cli.main import app
from texlens.core.errors import ConfigError
from texlens.data.folder.writer import read_folder


def run(*arguments):
    return CliRunner().invoke(app, ["data", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def source(tmp_path):
    return write_splits(tmp_path / "source", train=[f"x_{row}" for row in range(40)], test=["y", "z"])


def test_mix_takes_names_and_shares(tmp_path, source):
    out = tmp_path / "mixed"
    run("mix", f"new={source}:1.0", f"old={source}:.1", "-o", out)
    domains = [row.domain for row in read_folder(out)["train"]]
    assert (domains.count("new"), domains.count("old")) == (40, 4)
    with pytest.raises(ConfigError, match="two sets are called 'source'"):
        run("mix", f"{source}:1", f"{source}:.1", "-o", out)
    with pytest.raises(ConfigError, match=r"no share; write .*:1.0"):
        run("mix", source, "-o", out)
