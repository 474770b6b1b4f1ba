"""The metadata of an adapter folder."""

import dataclasses
import json

import pytest

from texlens.adapters.metadata import AdapterMetadata
from texlens.core.errors import ModelError
from texlens.models.bundled import EARLIER_NANOS

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


def test_run_on_an_earlier_nano_is_refused_by_name_with_what_to_do(tmp_path):
    (earlier,) = EARLIER_NANOS
    metadata = dataclasses.replace(METADATA, base_fingerprint=earlier)
    with pytest.raises(ModelError, match=r"nano model of texlens 0\.1; this version has another one\. Train again"):
        metadata.check_base("a" * 64, tmp_path)
    metadata.check_base(earlier, tmp_path)
