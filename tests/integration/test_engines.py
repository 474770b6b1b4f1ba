"""The packed backend through a complete run, compared with the plain backend."""

import pytest
import torch

from tests.fixtures.tiny_models import write_tiny_checkpoint
from tests.fixtures.training import losses, run_training
from tests.integration.test_training import SETTINGS, adapter, settings
from texlens.config.load import build_config
from texlens.core.errors import ConfigError
from texlens.core.run_folder import RunFolder
from texlens.models.packed.forward import PackedForward
from texlens.training.backends import choose

ADAPTER = {"adapter": {**SETTINGS["adapter"], "dropout": 0.0, "targets": ["text-attention", "text-mlp"]}}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_checkpoint(folder, "qwen2_5_vl")
    return folder


def run(tiny, output, model=None, **changes) -> RunFolder:
    values = settings(tiny, output, **{"steps": 3, "batch_size": 2, "gradient_accumulation": 3, **changes}) | ADAPTER
    config = build_config({**values, "model": {**values["model"], **(model or {})}})
    folder = RunFolder.create(output, "run")
    run_training(config, folder)
    return folder


@pytest.fixture(scope="module")
def plain(tiny, tmp_path_factory):
    return run(tiny, tmp_path_factory.mktemp("plain"), compute={"backend": "plain"})


@pytest.mark.parametrize(
    "compute",
    [{}, {"pack_tokens": 256}, {"recompute": "full"}, {"gradient_checkpointing": True}, {"memory_gib": 0.0031}],
    ids=str,
)
def test_packs_give_the_losses_norms_and_weights_of_the_plain_backend(tiny, plain, tmp_path, compute):
    packed = run(tiny, tmp_path, compute=compute)
    assert packed.manifest["engine"]["name"] == "packed"
    assert packed.manifest["engine"]["fused_layers"] == 2
    assert losses(packed) == pytest.approx(losses(plain), rel=1e-5)
    for row, other in zip(packed.history(), plain.history(), strict=True):
        assert row["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-4)
    expected = adapter(plain)
    assert all((tensor - expected[name]).abs().max() < 2e-5 for name, tensor in adapter(packed).items())


def test_backend_settings_are_recorded_in_run_json(tiny, plain, tmp_path):
    assert plain.manifest["engine"] == {"name": "plain", "notes": []}
    recorded = run(tiny, tmp_path, compute={"memory_gib": 0.0031}).manifest["engine"]
    assert recorded == {
        "name": "packed",
        "pack_tokens": 1024,
        "recompute": "full",
        "loss_chunk": 2048,
        "planned_gib": 0.0,
        "compiled": False,
        "graphs": False,
        "fused_layers": 2,
        "fused_vision_blocks": 2,
        "notes": [],
    }


def test_epochs_train_on_every_row_of_the_data_set(tiny, tmp_path):
    folder = run(tiny, tmp_path, steps=None, epochs=2, batch_size=5, gradient_accumulation=1)
    assert folder.manifest["training"]["steps"] == 6
    assert folder.manifest["training"]["rows_rejected_while_training"] == []


def test_steps_are_taken_in_training_mode(tiny, tmp_path, monkeypatch):
    modes, original = set(), PackedForward.loss

    def loss(forward, *args, **kwargs):
        if torch.is_grad_enabled():
            modes.update(module.training for module in forward.text.model.modules())
        return original(forward, *args, **kwargs)

    monkeypatch.setattr(PackedForward, "loss", loss)
    run(tiny, tmp_path)
    assert modes == {True}


def test_workers_do_not_change_losses(tiny, tmp_path):
    without, with_workers = (
        run(tiny, tmp_path / str(workers), workers=workers, steps=None, epochs=2, batch_size=8, gradient_accumulation=1)
        for workers in (0, 2)
    )
    assert with_workers.manifest["loader"] == {"workers": 2}
    assert losses(with_workers) == pytest.approx(losses(without), rel=1e-6)


def test_unsupported_attention_falls_back_to_the_plain_backend_with_a_note(tiny, tmp_path):
    fallen_back = run(tiny, tmp_path, model={"attention": "eager"}).manifest["engine"]
    assert fallen_back["name"] == "plain"
    assert "plain backend, which is slower, because model.attention is eager" in fallen_back["notes"][0]
    with pytest.raises(
        ConfigError, match=r"train\.compute\.backend: packed can't be used here: model\.attention is eager"
    ):
        run(tiny, tmp_path, model={"attention": "eager"}, compute={"backend": "packed"})


@pytest.fixture
def no_compiler(monkeypatch):
    """Compilation is requested, as with a GPU, and fails."""
    build = choose.packed_forward

    def failing(*arguments, backend, **options):
        if backend == "triton":
            raise RuntimeError("Failed to find C compiler.\nPlease specify via CC environment variable.")
        return build(*arguments, backend=backend, **options)

    monkeypatch.setattr(choose, "should_compile", lambda settings, on_gpu: True)
    monkeypatch.setattr(choose.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(choose, "packed_forward", failing)


def test_failed_compilation_falls_back_to_eager_with_a_note(tiny, plain, tmp_path, no_compiler):
    fallen_back = run(tiny, tmp_path)
    recorded = fallen_back.manifest["engine"]
    assert (recorded["name"], recorded["compiled"]) == ("packed", False)
    assert recorded["notes"] == [
        "not compiled, which is slower, because RuntimeError: Failed to find C compiler. Please specify via CC "
        "environment variable."
    ]
    assert losses(fallen_back) == pytest.approx(losses(plain), rel=1e-5)


def test_required_compilation_that_fails_is_an_error(tiny, tmp_path, no_compiler):
    with pytest.raises(
        ConfigError, match=r"train\.compute\.compile: on is not possible here: RuntimeError: Failed to find"
    ):
        run(tiny, tmp_path, compute={"compile": "on"})
