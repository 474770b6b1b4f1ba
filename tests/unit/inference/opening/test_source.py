"""What the name of a model refers to."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from tests.unit.inference.shared_base import SAMPLE
from texlens.config.load import load_saved_config
from texlens.core.errors import RunError
from texlens.inference.open import open_model
from texlens.inference.opening.source import LoadOptions, resolve, resolve_run_base
from texlens.inputs.image_preparation import KEEP_SIZE, Preparation
from texlens.models.bundled import NANO_FOLDER
from texlens.models.checkpoint import fingerprint


def adapter_of(name: object, **options) -> Path:
    source = resolve(str(name), **options)
    assert source.kind == "adapter"
    assert source.adapter is not None
    return source.adapter


def test_run_means_its_best_adapter(run):
    assert adapter_of(run.path) == run.adapter
    assert adapter_of(run.path, checkpoint="best") == run.adapter
    assert resolve(run.path).name == "tiny"


def test_checkpoint_is_chosen_by_step_or_as_the_latest(run):
    latest = run.checkpoints / "checkpoint-40"
    assert adapter_of(run.path, checkpoint="latest") == latest
    assert adapter_of(run.path, checkpoint=40) == latest
    assert adapter_of(run.path, checkpoint="5") == run.checkpoints / "checkpoint-5"
    assert resolve(run.path, checkpoint=5).name == "tiny-checkpoint-5"


def test_folders_of_a_run_are_accepted_as_they_are(run):
    checkpoint = run.checkpoints / "checkpoint-5"
    assert adapter_of(checkpoint) == checkpoint
    assert adapter_of(run.adapter) == run.adapter
    assert resolve(checkpoint).style.prompt == "Read this."


def test_preparation_comes_with_the_weights_and_of_a_base_from_the_run_s_settings(run):
    assert resolve(run.path).preparation is None
    file = run.adapter / "texlens.json"
    metadata = json.loads(file.read_text())
    file.write_text(json.dumps({**metadata, "image_preparation": {"usual_glyph_px": 12.0}}))
    assert resolve(run.path).preparation == resolve(run.adapter).preparation == Preparation(usual_glyph_px=12.0)

    config = load_saved_config(run.config)
    assert resolve_run_base(config, run).preparation is None
    asks = config.model_copy(update={"model": config.model.model_copy(update={"image_preparation": True})})
    assert resolve_run_base(asks, run).preparation == KEEP_SIZE


def test_a_copy_of_the_bundled_model_s_folder_is_a_checkpoint_with_its_preparation(tmp_path):
    for file in NANO_FOLDER.glob("*.json"):
        shutil.copy(file, tmp_path)
    shutil.copy(NANO_FOLDER / "chat_template.jinja", tmp_path)
    (tmp_path / "model.safetensors").symlink_to(NANO_FOLDER / "model.safetensors")
    source, bundled = resolve(tmp_path), resolve("nano")
    assert (source.kind, source.style, source.max_new_tokens) == ("checkpoint", bundled.style, bundled.max_new_tokens)
    assert source.preparation == bundled.preparation is not None
    assert source.calibration == bundled.calibration


def test_checkpoint_that_is_not_there_is_named_with_those_that_are(run):
    with pytest.raises(RunError, match="no checkpoint 7; it has 5, 40; use best, latest or a step"):
        resolve(run.path, checkpoint=7)
    with pytest.raises(RunError, match="so it has no checkpoint latest"):
        resolve("nano", checkpoint="latest")


def test_adapter_folder_outside_a_run_brings_base_prompt_and_pixels(run, tmp_path):
    folder = tmp_path / "copied"
    shutil.copytree(run.adapter, folder)
    source = resolve(folder)

    assert (source.kind, source.adapter, source.name) == ("adapter", folder, "copied")
    assert source.style.prompt == "Read this."
    expected = resolve(run.path)
    assert source.base.fingerprint == expected.base.fingerprint
    assert source.base.processor.geometry == expected.base.processor.geometry
    assert open_model(folder).read([SAMPLE])[0].text == open_model(run.path).read([SAMPLE])[0].text


def test_adapter_trained_with_torchvisions_resizing_reads_with_it(run, tmp_path):
    folder = tmp_path / "copied"
    shutil.copytree(run.adapter, folder)
    metadata = json.loads((folder / "texlens.json").read_text())
    (folder / "texlens.json").write_text(json.dumps({**metadata, "resize": "torchvision"}))
    assert resolve(folder).base.processor.geometry.resize == "torchvision"


def test_misspelled_run_is_named_with_the_runs_next_to_it(run):
    with pytest.raises(RunError, match=r"no such run; there are .*tiny"):
        resolve(run.path.parent / "tinny")


def test_code_of_a_checkpoint_is_trusted_by_the_caller_alone(run):
    config = run.config.read_text()
    try:
        run.config.write_text(config.replace("trust_remote_code: false", "trust_remote_code: true"))
        assert "trust_remote_code: true" in run.config.read_text()
        assert not resolve(run.path).settings.trust_remote_code
        assert resolve(run.path, options=LoadOptions(trust_remote_code=True)).settings.trust_remote_code
    finally:
        run.config.write_text(config)


def test_base_outside_the_run_folder_is_named_on_standard_error(run, capsys, monkeypatch):
    monkeypatch.setattr("texlens.core.notes._printed", set())
    resolve(run.path)
    assert "names its base model: " in capsys.readouterr().err
    resolve("nano")
    assert capsys.readouterr().err == ""


MODELING = """
import pathlib
pathlib.Path({marker!r}).write_text("code ran")
from transformers import Qwen3VLForConditionalGeneration as EvilModel
"""


def test_run_folder_can_not_make_its_base_run_code(run, tmp_path):
    """A stranger's run folder says trust_remote_code and names a checkpoint that brings code."""
    evil, marker = tmp_path / "evil", tmp_path / "marker"
    shutil.copytree(run.path, evil / "run")
    shutil.copytree(resolve(run.path).base.folder, evil / "base")
    auto_map = {"auto_map": {"AutoModelForImageTextToText": "modeling_evil.EvilModel"}}
    (evil / "base/modeling_evil.py").write_text(MODELING.format(marker=str(marker)))
    config = json.loads((evil / "base/config.json").read_text())
    (evil / "base/config.json").write_text(json.dumps({**config, **auto_map}))
    settings = yaml.safe_load((evil / "run/config.yaml").read_text())
    settings["model"] |= {"path": str(evil / "base"), "trust_remote_code": True}
    (evil / "run/config.yaml").write_text(yaml.safe_dump(settings))
    metadata = json.loads((evil / "run/adapter/texlens.json").read_text())
    metadata |= {"base_fingerprint": fingerprint(evil / "base"), "trust_remote_code": True}
    (evil / "run/adapter/texlens.json").write_text(json.dumps(metadata))

    for name in (evil / "run", evil / "run/adapter", evil / "base"):
        assert open_model(name).read([SAMPLE])[0].error is None
        assert not marker.exists()
