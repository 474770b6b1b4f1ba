import pytest

from tests.unit.data.pictures import png
from tests.unit.data.report.pages import HOSTILE
from tests.unit.data.tables import write_parquet
from tests.unit.data.validate.conftest import own_cache
from texlens.data.load import load_split

__all__ = ["own_cache"]


@pytest.fixture
def splits(tmp_path):
    texts = [rf"\frac {{ {letter} }} {{ 2 }}" for letter in "abcde"] + [r"\nosuch", HOSTILE, "x ^ 2"]
    write_parquet(tmp_path / "train.parquet", texts, [png(64, 32, seed) for seed in range(7)] + [b"no"])
    write_parquet(tmp_path / "test.parquet", [texts[0], "y_1"], [png(64, 32, 0), png(80, 40, 9)])
    return {name: load_split(str(tmp_path), split=name) for name in ("train", "test")}
