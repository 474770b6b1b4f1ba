"""Systems by what was named on the command line."""

import json

import pytest

from texlens.config.data import DataSettings
from texlens.core.errors import DataError, TexlensError
from texlens.evaluation.systems.endpoint import EndpointSource
from texlens.evaluation.systems.find import find_systems
from texlens.evaluation.systems.opened import OpenedSource
from texlens.evaluation.systems.prediction_file import PredictionFileSource

DATA = DataSettings(path="demo", prompt="Read.")


def find(*systems):
    return find_systems(systems, DATA, lambda: None)


def test_urls_files_and_models_are_distinguished_by_their_form(tmp_path):
    predictions = tmp_path / "other.jsonl"
    predictions.write_text(json.dumps({"id": "0", "prediction": "x"}) + "\n")
    endpoint, file, model = find("http://127.0.0.1:1/v1", str(predictions), "nano")
    assert isinstance(endpoint, EndpointSource)
    assert isinstance(file, PredictionFileSource)
    assert isinstance(model, OpenedSource)


def test_what_is_not_there_is_named_before_anything_is_read(tmp_path):
    with pytest.raises(DataError, match=r"none\.jsonl: no such file of predictions"):
        find(str(tmp_path / "none.jsonl"))
    with pytest.raises(TexlensError, match="no_such"):
        find(str(tmp_path / "no_such_run"))
