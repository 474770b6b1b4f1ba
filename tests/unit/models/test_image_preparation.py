"""Image preparation in a model's metadata, and what a run asks for."""

import json

import pytest

from texlens.config.model import ModelSettings
from texlens.core.errors import ModelError
from texlens.inputs.image_preparation import KEEP_SIZE, Preparation
from texlens.models.image_preparation import read_preparation, run_preparation, stored_preparation


def write(folder, value) -> None:
    (folder / "texlens.json").write_text(json.dumps({"image_preparation": value}))


def test_metadata_without_the_key_prepares_nothing_and_a_damaged_one_is_reported(tmp_path):
    assert read_preparation(tmp_path) is None
    write(tmp_path, [1])
    with pytest.raises(ModelError, match="not an object"):
        read_preparation(tmp_path)


def test_a_run_prepares_images_only_where_it_asks_for_it_and_as_its_base_does(tmp_path):
    asks = ModelSettings(path="x", image_preparation=True)
    assert run_preparation(asks, tmp_path) == KEEP_SIZE
    write(tmp_path, {"usual_glyph_px": 12.0})
    assert run_preparation(ModelSettings(path="x"), tmp_path) is None
    assert run_preparation(asks, tmp_path) == Preparation(usual_glyph_px=12.0)


def test_what_is_stored_reads_back(tmp_path):
    stored = stored_preparation(ModelSettings(path="x", image_preparation=True), tmp_path)
    write(tmp_path, stored)
    assert read_preparation(tmp_path) == KEEP_SIZE
    assert stored_preparation(ModelSettings(path="x"), tmp_path) is None
