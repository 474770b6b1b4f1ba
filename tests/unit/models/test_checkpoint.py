"""Checks of checkpoint folders, and the fingerprint."""

import json
import shutil
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

from texlens.core.errors import ModelError
from texlens.models.checkpoint import check_checkpoint, fingerprint, read_config, weight_files


def shard(folder, parts=3):
    """The same weights spread over several files with an index, as hubs keep large models."""
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    weight_map = {name: f"model-{i % parts + 1:05}-of-{parts:05}.safetensors" for i, name in enumerate(names)}
    for file in sorted(set(weight_map.values())):
        save_file({name: tensors[name] for name in names if weight_map[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    (folder / "model.safetensors").unlink()


def test_a_complete_checkpoint_gives_its_family(checkpoint):
    assert check_checkpoint(checkpoint).model_type == "qwen3_vl"


def test_a_complete_sharded_checkpoint_gives_its_family(checkpoint):
    shard(checkpoint)

    assert check_checkpoint(checkpoint).model_type == "qwen3_vl"
    assert len(weight_files(checkpoint)) == 3


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"nowhere: no such folder; check model.path"):
        check_checkpoint(tmp_path / "nowhere")


def test_a_folder_without_config_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"no config.json in it"):
        check_checkpoint(tmp_path)


def test_a_config_that_is_not_json_is_named(tmp_path):
    (tmp_path / "config.json").write_text("{half")
    with pytest.raises(ModelError, match=r"config.json: not valid JSON"):
        read_config(tmp_path)


def test_an_unknown_family_is_refused_before_the_weights_are_read(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llava_next"}')
    with pytest.raises(ModelError, match=r"'llava_next'.*qwen2_vl, qwen2_5_vl, qwen3_vl, qwen3_vl_moe"):
        check_checkpoint(tmp_path)


def test_pickled_weights_are_refused_with_a_remedy(checkpoint):
    (checkpoint / "model.safetensors").rename(checkpoint / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"pytorch_model.bin: pickled weights are refused.*safetensors"):
        check_checkpoint(checkpoint)


def test_a_folder_without_weights_is_named(checkpoint):
    (checkpoint / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"neither model.safetensors nor"):
        check_checkpoint(checkpoint)


def test_a_missing_shard_is_named(checkpoint):
    shard(checkpoint)
    (checkpoint / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(ModelError, match=r"model-00002-of-00003.safetensors: this shard is missing \(1 of 3 are\)"):
        check_checkpoint(checkpoint)


@pytest.mark.parametrize("size", [0, 5, 40, -1])
def test_a_truncated_shard_is_named(checkpoint, size):
    shard(checkpoint)
    path = checkpoint / "model-00003-of-00003.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ModelError, match=r"model-00003-of-00003.safetensors: .*download this file again"):
        check_checkpoint(checkpoint)


def test_a_file_of_another_format_is_named(checkpoint):
    (checkpoint / "model.safetensors").write_bytes(struct.pack("<Q", 6) + b"<html>")
    with pytest.raises(ModelError, match=r"model.safetensors: not a safetensors file"):
        check_checkpoint(checkpoint)


def test_a_shard_that_lacks_a_tensor_of_the_index_is_named(checkpoint):
    shard(checkpoint)
    path = checkpoint / "model-00001-of-00003.safetensors"
    tensors = load_file(path)
    tensors.pop(sorted(tensors)[0])
    save_file(tensors, path)
    with pytest.raises(ModelError, match=r"model-00001-of-00003.safetensors: lacks .*download this file again"):
        check_checkpoint(checkpoint)


def test_an_index_that_points_outside_the_folder_is_refused(checkpoint):
    shard(checkpoint)
    index = checkpoint / "model.safetensors.index.json"
    index.write_text('{"weight_map": {"a": "../secret.safetensors"}}')
    with pytest.raises(ModelError, match=r"'../secret.safetensors', which is not a file in this folder"):
        check_checkpoint(checkpoint)


def test_the_fingerprint_does_not_depend_on_folder_or_shards(checkpoint, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(checkpoint, copy)
    shard(copy)

    assert fingerprint(copy) == fingerprint(checkpoint)
    assert len(fingerprint(copy)) == 64


def test_the_fingerprint_changes_with_the_weights(checkpoint):
    before = fingerprint(checkpoint)
    tensors = load_file(checkpoint / "model.safetensors")
    name = "model.language_model.layers.0.self_attn.q_proj.weight"
    save_file(tensors | {name: tensors[name] + torch.tensor(1e-3)}, checkpoint / "model.safetensors")

    assert fingerprint(checkpoint) != before


def test_the_fingerprint_changes_with_the_config_but_not_with_the_library(checkpoint):
    before = fingerprint(checkpoint)
    config = read_config(checkpoint)
    (checkpoint / "config.json").write_text(json.dumps(config | {"transformers_version": "5.17.0"}))
    assert fingerprint(checkpoint) == before

    (checkpoint / "config.json").write_text(json.dumps(config | {"vision_start_token_id": 5}))
    assert fingerprint(checkpoint) != before
