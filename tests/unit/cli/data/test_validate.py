"""`texlens data validate`."""

import json

import pytest
from typer.testing import CliRunner

from tests.unit.data.pictures import png
from tests.unit.data.tables import write_parquet
from texlens.cli.main import app
from texlens.core.errors import ConfigError


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


def test_errors_give_exit_code_2_and_a_line_a_kind(folder):
    output = called("validate", folder, code=2)
    assert "unreadable-image" in output
    assert "test: 1 of 1 different labels (1 of 1 rows) and 1 of 1 images are also in train" in output
    assert "2 errors, 1 warning, 0 notes" in output


def test_json_holds_every_finding(folder):
    report = json.loads(called("validate", folder, "--json", code=2))
    assert report["kinds"] == {"unreadable-image": 1, "image-leak": 1, "label-leak": 1}
    assert len(report["findings"]) == 3


def test_a_fixed_copy_is_written_with_its_statistics(folder, tmp_path):
    report = json.loads(called("validate", folder, "--fix", "-o", tmp_path / "new", "--leaks", "to-train", "--json"))
    statistics = report["fixed"]
    assert (statistics["rows_in"], statistics["kept"], statistics["rejected"], statistics["merged"]) == (3, 1, 1, 1)
    assert "0 errors" in called("validate", tmp_path / "new")
    assert "kept" in called("validate", folder, "--fix", "-o", tmp_path / "other", "--no-render")


def test_fix_needs_a_place_and_drop_a_kind_that_there_is(folder, tmp_path):
    with pytest.raises(ConfigError, match="give both --fix and -o"):
        called("validate", folder, "--fix")
    with pytest.raises(ConfigError, match="no such kind"):
        called("validate", folder, "--fix", "-o", tmp_path / "new", "--drop", "nonsense")
