import os

import pytest
from rich.console import Console

from tests.fixtures.tiny_models import tiny_processor
from texlens.config.data import DataSettings
from texlens.core.errors import DataError
from texlens.data.geometry import ImageGeometry
from texlens.inputs.build import build_splits


def splits_of(**settings):
    processor = tiny_processor("qwen3_vl")
    data = DataSettings(path="demo", limit=20, splits={"validation": None, "test": None}, **settings)
    geometry: ImageGeometry = processor.geometry
    with open(os.devnull, "w") as file:
        return build_splits(data, processor.tokenizer, geometry, console=Console(file=file)).checks["train"]


def test_rows_over_the_limit_are_rejected_by_name_and_none_is_lost():
    everything = splits_of()
    limited = splits_of(max_tokens=120)
    assert 0 < len(limited.usable) < len(everything.usable) == 20
    assert len(limited.usable) + len(limited.rejected) == 20
    assert "tokens, over data.max_tokens: 120; raise it, or lower max_pixels" in str(limited.rejected[0])
    assert limited.statistics()["rejected"] == {"too long": len(limited.rejected)}
    assert limited.image_tokens < everything.image_tokens


def test_strict_stops_at_a_row_over_the_limit():
    with pytest.raises(DataError, match=r"over data.max_tokens: 120.*data.strict is on"):
        splits_of(max_tokens=120, strict=True)


def test_no_train_row_under_the_limit_is_an_error():
    with pytest.raises(DataError, match="no train row can be used"):
        splits_of(max_tokens=1)
