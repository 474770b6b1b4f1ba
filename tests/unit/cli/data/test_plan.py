"""`texlens data plan`."""

import json

import pytest
from typer.testing import CliRunner

from tests.unit.data.pictures import png
from tests.unit.data.tables import write_parquet
from texlens.cli.main import app
from texlens.core.errors import ConfigError, DataError


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


def test_a_family_that_there_is_not_is_named_with_those_there_are(folder):
    with pytest.raises(ConfigError, match=r"not one of qwen2-vl, qwen2.5-vl, qwen3-vl, qwen3-vl-moe"):
        called("plan", folder, "--family", "llava")
    assert json.loads(called("plan", folder, "--family", "Qwen2.5-VL", "--json"))["current"]["min_pixels"] == 3136


def test_a_plan_shows_both_budgets_and_the_settings_to_take(folder):
    output = called("plan", folder)
    assert "recommended" in output
    assert "--set model.min_pixels=" in output
    with pytest.raises(DataError, match="no split 'dev'"):
        called("plan", folder, "--split", "dev")
