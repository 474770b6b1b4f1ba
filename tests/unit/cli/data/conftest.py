"""Fixtures of these tests."""

import pytest

from tests.unit.data.pictures import png
from tests.unit.data.tables import write_parquet, write_splits


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXLENS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path):
    """A good row and one without an image; test has the first again."""
    write_parquet(tmp_path / "rows" / "train.parquet", ["x ^ 2", "y ^ 2"], [png(seed=1), b"no"])
    write_parquet(tmp_path / "rows" / "test.parquet", ["x ^ 2"], [png(seed=1)])
    return tmp_path / "rows"


@pytest.fixture
def source(tmp_path):
    return write_splits(tmp_path / "source", train=[f"x_{row}" for row in range(40)], test=["y", "z"])
