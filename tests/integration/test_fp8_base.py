"""Runs over a base in fp8, by the plain form of its products: training in both engines, saving, loading, merging."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.fixtures.tiny_models import write_tiny_checkpoint
from tests.fixtures.training import CONSOLE, run_training
from texlens.adapters.lora import load_adapter
from texlens.adapters.metadata import AdapterMetadata
from texlens.config.load import build_config, dump_config
from texlens.core.errors import ConfigError
from texlens.core.files import write_text
from texlens.core.run_folder import RunFolder
from texlens.exporting.pipeline import export_run
from texlens.inference.open import open_model
from texlens.models.fp8 import fp8_layers
from texlens.models.load import load_model
from texlens.training.prepare import prepare

LORA = {"rank": 4, "alpha": 8, "targets": ["text-attention", "text-mlp"]}


@pytest.fixture
def any_device(monkeypatch):
    """Lets a CPU train over fp8, which a user's can't."""
    monkeypatch.setattr("texlens.models.quantized.fp8_unsupported_reason", lambda device: None)


def config_of(folder: Path, quantize: str, engine: str = "plain", adapter: dict | None = None, family="qwen3_vl"):
    if not (folder / family).is_dir():
        write_tiny_checkpoint(folder / family, family)
    train_settings = {"steps": 3, "batch_size": 2, "compute": {"backend": engine}, "logging": {"every_steps": 1}}
    return build_config(
        {
            "output": str(folder),
            "model": {"path": str(folder / family)},
            "data": {"path": "demo", "limit": 8, "splits": {"validation": None}},
            "adapter": adapter or LORA,
            "base": {"quantize": quantize},
            "train": {**train_settings, "optimizer": {"learning_rate": 1e-2}},
        }
    )


def run(folder: Path, *how, **more):
    config = config_of(folder, *how, **more)
    trained = RunFolder.create(folder, "run")
    write_text(trained.config, dump_config(config))
    run_training(config, trained)
    return trained, config


def losses(folder: RunFolder) -> list[float]:
    return [row["loss"] for row in folder.history() if "loss" in row]


def test_a_cpu_is_refused_before_anything_is_loaded(tmp_path):
    with pytest.raises(ConfigError, match=r"base\.quantize: fp8 can't be used here"):
        prepare(config_of(tmp_path, "fp8"), CONSOLE)


@pytest.mark.parametrize("family", ["qwen3_vl", "qwen2_5_vl"])
def test_losses_of_both_backends_agree_and_are_close_to_those_of_the_unquantized_base(family, any_device, tmp_path):
    plain, packed = (losses(run(tmp_path, "fp8", engine, family=family)[0]) for engine in ("plain", "packed"))
    exact = losses(run(tmp_path, "none", family=family)[0])
    assert packed == pytest.approx(plain, rel=1e-2)
    assert plain == pytest.approx(exact, rel=3e-2)
    assert plain != exact


def test_moe_lora_trains_on_an_fp8_base(any_device, tmp_path):
    adapter = {"kind": "moe-lora", "rank": 2, "targets": ["text-attention"]}
    trained, _ = run(tmp_path, "fp8", adapter=adapter)
    assert losses(trained) == pytest.approx(losses(run(tmp_path, "none", adapter=adapter)[0]), rel=3e-2)


def test_the_adapter_loads_on_the_quantized_and_the_unquantized_base_and_merges_into_the_latter(any_device, tmp_path):
    trained, config = run(tmp_path, "fp8")
    metadata = AdapterMetadata.read(trained.adapter)
    assert metadata is not None
    assert metadata.base_quantize == "fp8"
    base = prepare(config, CONSOLE).base
    quantized = open_model(trained.adapter, config=config).backend.model
    assert len(fp8_layers(quantized)) == 14
    exact = load_adapter(load_model(base.folder, device="cpu"), trained.adapter, fingerprint=base.fingerprint)
    ids = torch.arange(5, 45)[None]
    with torch.no_grad():
        error = (quantized(input_ids=ids).logits - exact(input_ids=ids).logits).norm() / exact(
            input_ids=ids
        ).logits.norm()
    assert 0.001 < error < 0.3
    export_run(config, trained, tmp_path / "merged", "merged", console=CONSOLE)
    merged = load_file(tmp_path / "merged/model.safetensors")
    expected = exact.merge_and_unload().state_dict()
    shared = [name for name in merged if name in expected]
    assert len(shared) > 20
    for name in shared:
        torch.testing.assert_close(merged[name], expected[name], atol=1e-6, rtol=1e-6)
