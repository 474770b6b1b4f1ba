"""`adapter.from`: a new run begins with the weights of an adapter; differences are named; resuming is exact."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from tests.fixtures.tiny_models import write_tiny_checkpoint
from tests.fixtures.training import CONSOLE, run_training, same_weights
from tests.integration.conftest import LABELS, write_rows
from tests.integration.test_training import adapter
from texlens.config.load import build_config, dump_config
from texlens.core.errors import ConfigError, ModelError
from texlens.core.run_folder import RunFolder
from texlens.workflows.train_run import start_run

LORA = {"rank": 4, "alpha": 8, "dropout": 0.1}
MOE = {"kind": "moe-lora", "rank": 2, "alpha": 4, "experts": 2}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("start")
    write_tiny_checkpoint(folder / "tiny", "qwen3_vl")
    write_rows(folder / "rows/train-00000-of-00001.parquet", LABELS)
    return folder


def config_of(inputs, output, adapter, **train):
    return build_config(
        {
            "name": "run",
            "output": str(output),
            "model": {"path": str(inputs / "tiny")},
            "data": {"path": str(inputs / "rows"), "splits": {"validation": None, "test": None}},
            "adapter": adapter,
            "train": {"steps": 2, "batch_size": 2, "workers": 0, "checkpoints": {"every_steps": 1}, **train},
        }
    )


def started(config) -> RunFolder:
    return start_run(config, console=CONSOLE).folder


@pytest.fixture(scope="module", params=[LORA, MOE], ids=["lora", "moe-lora"])
def first(request, inputs, tmp_path_factory):
    output = tmp_path_factory.mktemp("first")
    return started(config_of(inputs, output, request.param)), request.param


def test_a_run_goes_on_from_the_weights_and_resumes_as_if_it_had_never_stopped(first, inputs, tmp_path):
    run, settings = first
    train = {"steps": 4, "checkpoints": {"every_steps": 1, "keep": 4}}
    config = config_of(inputs, tmp_path, {**settings, "from": str(run.path)}, **train)
    second = started(config)
    assert second.manifest["adapter_from"]["path"] == str(run.adapter)
    assert not same_weights(adapter(second), adapter(run))

    interrupted = RunFolder(shutil.copytree(second.path, tmp_path / "interrupted"))
    for step in (3, 4):
        shutil.rmtree(interrupted.checkpoints / f"checkpoint-{step}")
    moved = run.path.rename(run.path.with_name("moved"))
    try:
        run_training(config, interrupted, resume=True)
    finally:
        moved.rename(run.path)
    assert same_weights(adapter(interrupted), adapter(second))


def test_the_first_step_begins_where_the_adapter_is(first, inputs, tmp_path):
    run, settings = first
    still = {"optimizer": {"learning_rate": 1e-12, "schedule": "constant"}}
    second = started(config_of(inputs, tmp_path, {**settings, "from": str(run.adapter)}, **still))
    before, after = adapter(run), adapter(second)
    assert before.keys() == after.keys()
    assert all(torch.allclose(before[name], after[name], atol=1e-8) for name in before)


def test_a_checkpoint_is_taken_too(first, inputs, tmp_path):
    run, settings = first
    checkpoint = run.checkpoints / "checkpoint-1"
    second = started(config_of(inputs, tmp_path, {**settings, "from": str(checkpoint)}))
    assert second.manifest["adapter_from"]["path"] == str(checkpoint)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rank": 8}, "r 4 there, 8 here"),
        ({"alpha": 16}, "lora_alpha 8 there, 16 here"),
        ({"rslora": True, "rank": 8}, "r 4 there, 8 here; use_rslora"),
        (MOE, "peft_type LORA there, MOE_LORA here"),
    ],
)
def test_differences_are_named_before_a_folder_is_made(first, inputs, tmp_path, changes, message):
    run, settings = first
    if settings is not LORA:
        pytest.skip("for LoRA alone")
    adapter = {**(MOE if changes is MOE else {**LORA, **changes}), "from": str(run.path)}
    with pytest.raises(ConfigError, match=message):
        started(config_of(inputs, tmp_path / "out", adapter))
    assert not (tmp_path / "out").exists()


def test_other_layers_another_base_and_nothing_are_refused(first, inputs, tmp_path):
    run, settings = first
    narrow = {**settings, "targets": ["text-attention"], "from": str(run.path)}
    with pytest.raises(ModelError, match="belongs to no part of this run's adapter"):
        started(config_of(inputs, tmp_path, narrow))
    other = shutil.copytree(run.adapter, tmp_path / "other")
    metadata = json.loads((other / "texlens.json").read_text())
    (other / "texlens.json").write_text(json.dumps({**metadata, "base_fingerprint": "0" * 64}))
    with pytest.raises(ModelError, match="belongs to another base"):
        started(config_of(inputs, tmp_path, {**settings, "from": str(other)}))
    with pytest.raises(ModelError, match="no such folder, and not a hub id"):
        started(config_of(inputs, tmp_path, {**settings, "from": str(tmp_path / "nothing")}))


def test_a_hub_adapter_is_fetched_with_its_two_files(first, inputs, tmp_path, monkeypatch):
    run, settings = first
    fetched = []

    class Hub:
        name = "huggingface"

        def installed(self):
            return True

        def files(self, model_id, revision):
            return {path.name: 1 for path in run.adapter.iterdir()} | {"optimizer.pt": 1}

        def fetch(self, model_id, revision, names, target):
            fetched.append((model_id, sorted(names)))
            return run.adapter

    monkeypatch.setattr("texlens.models.download.HUBS", {"huggingface": Hub})
    second = started(config_of(inputs, tmp_path, {**settings, "from": "me/adapter"}))
    assert fetched[0] == ("me/adapter", ["adapter_config.json", "adapter_model.safetensors", "texlens.json"])
    assert load_file(second.adapter / "adapter_model.safetensors")


def test_the_run_file_says_from(first, inputs, tmp_path):
    run, settings = first
    config = config_of(inputs, tmp_path, {**settings, "from": str(run.path)})
    assert f"from: {run.path}" in dump_config(config)
    if settings is LORA:
        with pytest.raises(ConfigError, match="init pissa sets the initial weights, and from names others"):
            config_of(inputs, tmp_path, {**settings, "from": str(run.path), "init": "pissa"})


FULL = {"kind": "full", "targets": ["text-attention"]}


@pytest.fixture(scope="module")
def whole(inputs, tmp_path_factory):
    """A run that was trained in full."""
    return started(config_of(inputs, tmp_path_factory.mktemp("whole"), FULL, optimizer={"learning_rate": 1e-2}))


def weights(run: RunFolder) -> dict:
    return load_file(run.adapter / "model.safetensors")


def test_full_training_goes_on_from_weights_that_were_trained_in_full(whole, inputs, tmp_path):
    still = {"optimizer": {"learning_rate": 1e-12, "schedule": "constant"}}
    second = started(config_of(inputs, tmp_path, {**FULL, "from": str(whole.path)}, **still))
    base, before, after = load_file(inputs / "tiny/model.safetensors"), weights(whole), weights(second)
    assert all(torch.allclose(before[name], after[name], atol=1e-8) for name in before)
    changed = [name for name in before if not torch.equal(before[name].float(), base[name].float())]
    assert changed
    assert all("self_attn" in name for name in changed)
    assert second.manifest["adapter_from"]["path"] == str(whole.adapter)


def test_an_adapter_does_not_start_full_training_and_weights_start_no_adapter(first, whole, inputs, tmp_path):
    run, settings = first
    with pytest.raises(ConfigError, match="merge it with `texlens export --format merged`"):
        started(config_of(inputs, tmp_path, {**FULL, "from": str(run.path)}))
    with pytest.raises(ConfigError, match="trained in full, so it has no adapter"):
        started(config_of(inputs, tmp_path, {**settings, "from": str(whole.path)}))
    with pytest.raises(ConfigError, match="is a base to train"):
        started(config_of(inputs, tmp_path, {**FULL, "from": "me/weights"}))
    assert list(tmp_path.iterdir()) == []


def test_an_adapter_is_trained_over_weights_that_were_trained_in_full(first, whole, inputs, tmp_path):
    """What the refusal asks for works: the run's weights as the base."""
    config = config_of(inputs, tmp_path, first[1])
    over = config.model_copy(update={"model": config.model.model_copy(update={"path": str(whole.adapter)})})
    assert adapter(started(over))
