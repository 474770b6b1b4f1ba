"""The packed engine through a whole run, against its plain twin."""

import pytest
import torch

from tests.fixtures.tiny_models import write_tiny_checkpoint
from tests.integration.test_training import CONSOLE, SETTINGS, adapter, losses, settings
from texlens.config.load import build_config
from texlens.core.errors import ConfigError
from texlens.core.run_folder import RunFolder
from texlens.models.packed.forward import PackedForward
from texlens.train.backends import engine
from texlens.train.run import prepare, train

ADAPTER = {"adapter": {**SETTINGS["adapter"], "dropout": 0.0, "targets": ["text-attention", "text-mlp"]}}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_checkpoint(folder, "qwen2_5_vl")
    return folder


def run(tiny, output, model=None, **changes) -> RunFolder:
    values = settings(tiny, output, **{"steps": 3, "batch_size": 2, "accumulation": 3, **changes}) | ADAPTER
    config = build_config({**values, "model": {**values["model"], **(model or {})}})
    folder = RunFolder.create(output, "run")
    train(config, prepare(config, CONSOLE), folder, console=CONSOLE)
    return folder


@pytest.fixture(scope="module")
def plain(tiny, tmp_path_factory):
    return run(tiny, tmp_path_factory.mktemp("plain"), engine="plain")


@pytest.mark.parametrize(
    "changes",
    [{}, {"pack_tokens": 256}, {"recompute": "full"}, {"gradient_checkpointing": True}, {"memory_gib": 0.0029}],
    ids=str,
)
def test_packs_give_the_losses_norms_and_weights_of_the_plain_engine(tiny, plain, tmp_path, changes):
    packed = run(tiny, tmp_path, **changes)
    assert packed.manifest["engine"]["name"] == "packed"
    assert packed.manifest["engine"]["fused_layers"] == 2
    assert losses(packed) == pytest.approx(losses(plain), rel=1e-5)
    for row, other in zip(packed.history(), plain.history(), strict=True):
        assert row["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-4)
    expected = adapter(plain)
    assert all((tensor - expected[name]).abs().max() < 2e-5 for name, tensor in adapter(packed).items())


def test_what_was_done_stands_in_the_run(tiny, plain, tmp_path):
    assert plain.manifest["engine"] == {"name": "plain", "notes": []}
    little = run(tiny, tmp_path, memory_gib=0.0029).manifest["engine"]
    assert little == {
        "name": "packed",
        "pack_tokens": 1024,
        "recompute": "full",
        "loss_chunk": 2048,
        "planned_gib": 0.0,
        "compiled": False,
        "fused_layers": 2,
        "notes": [],
    }


def test_rows_and_label_tokens_of_an_epoch_are_the_data_sets(tiny, tmp_path):
    folder = run(tiny, tmp_path, steps=None, epochs=2, batch_size=5, accumulation=1)
    assert folder.manifest["training"]["steps"] == 6
    assert folder.manifest["training"]["rows_rejected_while_training"] == []


def test_a_step_is_taken_in_training_mode(tiny, tmp_path, monkeypatch):
    modes, take = set(), PackedForward.loss

    def loss(forward, *given, **kinds):
        if torch.is_grad_enabled():
            modes.update(module.training for module in forward.text.model.modules())
        return take(forward, *given, **kinds)

    monkeypatch.setattr(PackedForward, "loss", loss)
    run(tiny, tmp_path)
    assert modes == {True}


def test_workers_that_live_through_all_epochs_change_no_number(tiny, tmp_path):
    alone, shared = (
        run(tiny, tmp_path / str(workers), workers=workers, steps=None, epochs=2, batch_size=8, accumulation=1)
        for workers in (0, 2)
    )
    assert shared.manifest["loader"] == {"workers": 2}
    assert losses(shared) == pytest.approx(losses(alone), rel=1e-6)


def test_an_attention_that_packs_can_not_take_is_told(tiny, tmp_path):
    fallen_back = run(tiny, tmp_path, model={"attention": "eager"}).manifest["engine"]
    assert fallen_back["name"] == "plain"
    assert "engine plain, which is slower, since model.attention is eager" in fallen_back["notes"][0]
    with pytest.raises(ConfigError, match=r"train\.engine: packed can't be used here: model\.attention is eager"):
        run(tiny, tmp_path, model={"attention": "eager"}, engine="packed")


@pytest.fixture
def no_compiler(monkeypatch):
    """Kernels are wanted, as with a GPU, and can't be made."""
    build = engine.packed_forward

    def failing(*arguments, backend, **options):
        if backend == "triton":
            raise RuntimeError("Failed to find C compiler.\nPlease specify via CC environment variable.")
        return build(*arguments, backend=backend, **options)

    monkeypatch.setattr(engine, "_wants_compiled", lambda settings, on_gpu: True)
    monkeypatch.setattr(engine.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(engine, "packed_forward", failing)


def test_kernels_that_can_not_be_made_are_done_without_and_told(tiny, plain, tmp_path, no_compiler):
    fallen_back = run(tiny, tmp_path)
    told = fallen_back.manifest["engine"]
    assert (told["name"], told["compiled"]) == ("packed", False)
    assert told["notes"] == [
        "not compiled, which is slower, since RuntimeError: Failed to find C compiler. Please specify via CC "
        "environment variable."
    ]
    assert losses(fallen_back) == pytest.approx(losses(plain), rel=1e-5)


def test_kernels_asked_for_by_name_that_can_not_be_made_are_an_error(tiny, tmp_path, no_compiler):
    with pytest.raises(ConfigError, match=r"train\.compile: on can't be done here: RuntimeError: Failed to find"):
        run(tiny, tmp_path, compile="on")
