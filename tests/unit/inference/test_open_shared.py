"""Runs of every kind: server and evaluation read an image alike, or the run is refused with the reason."""

from pathlib import Path

import pytest

from tests.fixtures.tiny_models import tiny_processor, write_tiny_checkpoint
from tests.unit.inference.shared_base import (
    FULL,
    KINDS,
    MOE_LORA,
    made_run,
    open_all,
    read_by_server,
    read_directly,
)
from texlens.config.load import load_config
from texlens.core.errors import ModelError
from texlens.core.files import write_json, write_text
from texlens.models.export_manifest import ExportManifest
from texlens.models.metadata import METADATA_FILE
from texlens.models.processor import save_processor


def test_run_trained_in_full_needs_its_base_no_more(tmp_path):
    run = made_run(tmp_path, "full", "qwen3_vl", FULL)
    config = load_config(run.config)
    expected = read_directly(run)
    Path(config.model.path).rename(tmp_path / "gone")
    assert read_by_server(run) == (["full"], expected)


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (FULL, {"rank": 2}, "trained in full, so it shares no base with others"),
        (MOE_LORA, {"rank": 2}, r"adapters of different kinds \(.*first MOE_LORA, .*second LORA\)"),
    ],
)
def test_models_that_can_not_share_a_base_are_refused(first, second, reason, tmp_path):
    runs = [made_run(tmp_path, name, "qwen3_vl", adapter) for name, adapter in (("first", first), ("second", second))]
    with pytest.raises(ModelError, match=reason):
        open_all(*(run.path for run in runs))


def test_adapters_on_stacked_experts_are_served_alone(tmp_path):
    family, adapter = KINDS["experts"]
    runs = [made_run(tmp_path, name, family, adapter) for name in ("one", "second")]
    with pytest.raises(ModelError, match="adapters on stacked experts are served alone"):
        open_all(*(run.path for run in runs))


def test_bases_that_are_quantized_differently_are_not_shared(tmp_path):
    runs = [made_run(tmp_path, name, "qwen3_vl", {"rank": 2}) for name in ("one", "packed")]
    config = runs[1].config
    write_text(config, config.read_text().replace("quantize: none", "quantize: nf4"))
    with pytest.raises(ModelError, match=r"base\.quantize differs"):
        open_all(*(run.path for run in runs))


def test_gguf_export_names_the_command_that_serves_it(tmp_path):
    folder = tmp_path / "exported"
    model_folder = tmp_path / "base"
    write_tiny_checkpoint(model_folder, "qwen3_vl")
    save_processor(tiny_processor(), folder)
    (folder / "config.json").write_text((model_folder / "config.json").read_text())
    notes = {"model": "model.gguf", "projector": "mmproj.gguf"}
    manifest = ExportManifest(
        "gguf", "base", "f" * 64, "a" * 64, "qwen3_vl", "tiny", 1, 2, "Read it.", None, 8, "llama.cpp", notes
    )
    write_json(folder / METADATA_FILE, manifest.to_json())
    for name in notes.values():
        (folder / name).touch()
    with pytest.raises(ModelError, match="llama-server"):
        open_all(folder)
