"""The metadata of an adapter folder."""

import dataclasses
import json

import pytest

from texlens.adapters.metadata import AdapterMetadata
from texlens.core.errors import ModelError

METADATA = AdapterMetadata("nano", "f" * 64, "qwen3_vl", 3136, 100_352, "Read.", None, 96)


def test_metadata_is_read_as_it_was_written(tmp_path):
    (tmp_path / "texlens.json").write_text(json.dumps(METADATA.to_json()))
    assert AdapterMetadata.read(tmp_path) == METADATA
    assert dataclasses.asdict(METADATA) == METADATA.to_json()


def test_adapter_of_another_program_has_none(tmp_path):
    assert AdapterMetadata.read(tmp_path) is None


def test_field_that_is_missing_is_reported(tmp_path):
    values = METADATA.to_json()
    del values["base_fingerprint"]
    (tmp_path / "texlens.json").write_text(json.dumps(values))
    with pytest.raises(ModelError, match="base_fingerprint"):
        AdapterMetadata.read(tmp_path)
