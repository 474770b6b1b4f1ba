import json

import pytest

from texlens.core.errors import DataError
from texlens.core.run_folder import RunFolder
from texlens.evaluation.prediction_cache import PredictionCache
from texlens.metrics.prediction import Prediction

FIRST, SECOND = [Prediction("1", "x", "x")], [Prediction("1", "x", "y")]


@pytest.fixture
def cache(tmp_path) -> PredictionCache:
    return PredictionCache(RunFolder(tmp_path), "test")


def test_predictions_are_used_again_under_the_same_key_alone(cache):
    cache.write("adapter", {"rows": "a"}, FIRST)
    assert cache.read("adapter", {"rows": "a"}, 1) == FIRST
    assert cache.read("adapter", {"rows": "b"}, 1) is None
    assert cache.read("base", {"rows": "a"}, 1) is None


def test_predictions_under_another_key_replace_none(cache):
    cache.write("adapter", {"rows": "a"}, FIRST)
    cache.write("adapter", {"rows": "b"}, SECOND)
    assert cache.read("adapter", {"rows": "b"}, 1) == SECOND
    assert cache.read("adapter", {"rows": "a"}, 1) == FIRST


def test_a_damaged_key_counts_as_none(cache, tmp_path):
    cache.write("adapter", {"rows": "a"}, FIRST)
    (tmp_path / "predictions/test.adapter.json").write_text("{")
    assert cache.read("adapter", {"rows": "a"}, 1) is None


def test_a_file_cut_short_is_an_error_with_the_remedy(cache, tmp_path):
    cache.write("adapter", {"rows": "a"}, FIRST * 2)
    with pytest.raises(DataError, match="2 rows where 3 were read; restore it, or --no-cache reads the rows again"):
        cache.read("adapter", {"rows": "a"}, 3)
    (tmp_path / "predictions/test.adapter.jsonl").write_text('{"id": "1"')
    with pytest.raises(DataError, match="--no-cache reads the rows again"):
        cache.read("adapter", {"rows": "a"}, 2)


def test_the_key_is_stored_next_to_the_predictions(cache, tmp_path):
    cache.write("adapter", {"rows": "a"}, FIRST)
    assert json.loads((tmp_path / "predictions/test.adapter.json").read_text()) == {"rows": "a"}


@pytest.mark.parametrize(("clean", "valid"), [(True, True), (False, False)])
def test_stored_rows_say_whether_they_are_formulas_by_the_setting_of_today(tmp_path, clean, valid):
    fenced = [Prediction("1", "x", "```x```")]
    PredictionCache(RunFolder(tmp_path), "test", clean=not clean).write("adapter", {}, fenced)
    assert PredictionCache(RunFolder(tmp_path), "test", clean=clean).read("adapter", {}, 1) == fenced
    assert json.loads((tmp_path / "predictions/test.adapter.jsonl").read_text())["valid"] == valid
