import pytest

from tests.unit.data.pictures import png
from tests.unit.data.tables import write_parquet
from tests.unit.data.validate.rows import IMAGES, TEXTS


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No test reads what another found out, nor the user's cache."""
    monkeypatch.setenv("TEXLENS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path):
    """Each row of train has the fault it is named for; test's first row is train's first."""
    write_parquet(tmp_path / "rows" / "train.parquet", TEXTS, list(IMAGES.values()))
    write_parquet(
        tmp_path / "rows" / "test.parquet", ["x ^ 2", "q ^ 9", "y^3"], [IMAGES["good"], png(seed=8), png(seed=9)]
    )
    return tmp_path / "rows"
