import json
from dataclasses import dataclass

import pytest

from texlens.adapters.metadata import AdapterMetadata
from texlens.config.model import ModelSettings
from texlens.core.errors import ModelError
from texlens.inference.confidence import read_calibration
from texlens.inputs.image_preparation import KEEP_SIZE, Preparation
from texlens.models.export_manifest import ExportManifest
from texlens.models.metadata import (
    METADATA_FILE,
    as_dataclass,
    read_metadata,
    read_preparation,
    run_preparation,
    stored_preparation,
)

READERS = (AdapterMetadata.read, ExportManifest.read, read_calibration)


@dataclass(frozen=True)
class Two:
    first: int
    second: int = 2


def test_unknown_keys_are_ignored(tmp_path):
    assert as_dataclass(Two, {"first": 1, "third": 3}, tmp_path) == Two(1, 2)


def test_a_missing_key_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"texlens\.json: damaged \(first"):
        as_dataclass(Two, {"second": 1}, tmp_path)


@pytest.mark.parametrize("read", READERS)
def test_a_folder_without_metadata_gives_none(read, tmp_path):
    assert read_metadata(tmp_path) == {}
    assert read(tmp_path) is None


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("text", ["{", "[1]", '{"calibration": {"rows": 1}, "format": "nf4"}'])
def test_damaged_metadata_is_reported_by_every_reader(read, text, tmp_path):
    (tmp_path / METADATA_FILE).write_text(text)
    with pytest.raises(ModelError, match=r"texlens\.json: damaged"):
        read(tmp_path)


def test_one_file_describes_an_adapter_an_export_and_a_calibration(tmp_path):
    content = {
        "base": "b",
        "base_fingerprint": "f",
        "family": "qwen3_vl",
        "min_pixels": 1,
        "max_pixels": 2,
        "prompt": "Read.",
        "system_prompt": None,
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
    (tmp_path / METADATA_FILE).write_text(json.dumps(content))
    adapter, manifest, calibration = (read(tmp_path) for read in READERS)
    assert adapter is not None
    assert manifest is not None
    assert calibration is not None
    assert (adapter.prompt, manifest.run, calibration.temperature) == ("Read.", "r", 2.0)


@pytest.mark.parametrize(
    ("format_name", "reader"), [("adapter", "peft"), ("gguf", "llama.cpp"), ("nf4", "transformers")]
)
def test_metadata_of_version_1_is_read(format_name, reader, tmp_path):
    content = {
        "base": "b",
        "base_fingerprint": "f",
        "family": "qwen3_vl",
        "min_pixels": 1,
        "max_pixels": 2,
        "question": "Read.",
        "system": "Be brief.",
        "max_new_tokens": 8,
        "format": format_name,
        "adapter": "a",
        "run": "r",
        "made": {"method": "m"},
        "version": 1,
    }
    (tmp_path / METADATA_FILE).write_text(json.dumps(content))

    manifest, adapter = ExportManifest.read(tmp_path), AdapterMetadata.read(tmp_path)

    assert (manifest.prompt, manifest.system_prompt, manifest.notes) == ("Read.", "Be brief.", {"method": "m"})
    assert manifest.reader == reader
    assert (adapter.prompt, adapter.system_prompt) == ("Read.", "Be brief.")


def write_preparation(folder, value) -> None:
    (folder / "texlens.json").write_text(json.dumps({"image_preparation": value}))


def test_metadata_without_the_key_prepares_nothing_and_a_damaged_one_is_reported(tmp_path):
    assert read_preparation(tmp_path) is None
    write_preparation(tmp_path, [1])
    with pytest.raises(ModelError, match="not an object"):
        read_preparation(tmp_path)


def test_a_run_prepares_images_only_where_it_asks_for_it_and_as_its_base_does(tmp_path):
    asks = ModelSettings(path="x", image_preparation=True)
    assert run_preparation(asks, tmp_path) == KEEP_SIZE
    write_preparation(tmp_path, {"usual_glyph_px": 12.0})
    assert run_preparation(ModelSettings(path="x"), tmp_path) is None
    assert run_preparation(asks, tmp_path) == Preparation(usual_glyph_px=12.0)


def test_what_is_stored_reads_back(tmp_path):
    stored = stored_preparation(ModelSettings(path="x", image_preparation=True), tmp_path)
    write_preparation(tmp_path, stored)
    assert read_preparation(tmp_path) == KEEP_SIZE
    assert stored_preparation(ModelSettings(path="x"), tmp_path) is None
