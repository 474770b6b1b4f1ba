"""`texlens data import`: statistics of what came in."""

import pytest
from typer.testing import CliRunner

from tests.unit.data.tables import write_splits
from texlens.cli.main import app


def run(*arguments):
    return CliRunner().invoke(app, ["data", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def source(tmp_path):
    return write_splits(tmp_path / "source", train=[f"x_{row}" for row in range(40)], test=["y", "z"])


def test_import_prints_statistics_and_reuses_the_folder_the_second_time(tmp_path, source):
    output = run("import", source, "-o", tmp_path / "d").stdout
    assert "42 rows in = 42 kept + 0 rejected + 0 merged\n" in output
    assert "  train: 40 rows in = 40 kept" in output
    assert "merged, as it stood\n" in run("import", source, "-o", tmp_path / "d").stdout
