import json
from dataclasses import dataclass

import pytest

from texlens.adapters.metadata import AdapterMetadata
from texlens.core.errors import ModelError
from texlens.inference.confidence import read_calibration
from texlens.models.export_manifest import ExportManifest
from texlens.models.metadata import METADATA_FILE, as_dataclass, read_metadata

READERS = (AdapterMetadata.read, ExportManifest.read, read_calibration)


@dataclass(frozen=True)
class Two:
    first: int
    second: int = 2


def test_keys_that_a_dataclass_does_not_know_are_left_out(tmp_path):
    assert as_dataclass(Two, {"first": 1, "third": 3}, tmp_path) == Two(1, 2)


def test_a_key_that_is_missing_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"texlens\.json: damaged \(.*'first'"):
        as_dataclass(Two, {"second": 1}, tmp_path)


@pytest.mark.parametrize("read", READERS)
def test_no_card_is_no_fault(read, tmp_path):
    assert read_metadata(tmp_path) == {}
    assert read(tmp_path) is None


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("text", ["{", "[1]", '{"calibration": {"rows": 1}, "format": "nf4"}'])
def test_a_damaged_card_is_told_by_all_its_readers(read, text, tmp_path):
    (tmp_path / METADATA_FILE).write_text(text)
    with pytest.raises(ModelError, match=r"texlens\.json: damaged"):
        read(tmp_path)


def test_one_card_serves_an_adapter_an_artifact_and_a_calibration(tmp_path):
    told = {
        "base": "b",
        "base_fingerprint": "f",
        "family": "qwen3_vl",
        "min_pixels": 1,
        "max_pixels": 2,
        "question": "Read.",
        "system": None,
        "max_new_tokens": 8,
        "format": "adapter",
        "adapter": "a",
        "run": "r",
        "calibration": {
            "temperature": 2.0,
            "error_before": 0.2,
            "error_after": 0.1,
            "rows": 50,
            "right": 25,
            "measured_on": "rows",
        },
    }
    (tmp_path / METADATA_FILE).write_text(json.dumps(told))
    adapter, artifact, calibration = (read(tmp_path) for read in READERS)
    assert adapter is not None
    assert artifact is not None
    assert calibration is not None
    assert (adapter.question, artifact.run, calibration.temperature) == ("Read.", "r", 2.0)
