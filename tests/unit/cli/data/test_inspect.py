"""`texlens data inspect`."""

import json

import pytest
from typer.testing import CliRunner

from tests.unit.data.pictures import png
from tests.unit.data.tables import write_parquet
from texlens.cli.main import app


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXLENS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path):
    """A good row and one without an image; test has the first again."""
    write_parquet(tmp_path / "rows" / "train.parquet", ["x ^ 2", "y ^ 2"], [png(seed=1), b"no"])
    write_parquet(tmp_path / "rows" / "test.parquet", ["x ^ 2"], [png(seed=1)])
    return tmp_path / "rows"


def called(*arguments, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["data", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done.stdout


def test_an_inspection_writes_its_report(folder, tmp_path):
    report = json.loads(called("inspect", folder, "--report", tmp_path / "report.html", "--json"))
    assert report["splits"]["train"]["rows"] == 2
    assert "<html" in (tmp_path / "report.html").read_text()
    assert "errors" in called("inspect", folder)
