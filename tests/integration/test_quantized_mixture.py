"""Runs over a mixture of experts in fp8 and NF4: both backends, resuming, loading, merging."""

import importlib.util
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.fixtures.training import CONSOLE, losses, run_training, same_weights
from tests.integration.conftest import LABELS, write_rows
from tests.unit.models.packed.test_nf4 import save_wide
from texlens.adapters.lora import load_adapter
from texlens.config.load import build_config, dump_config
from texlens.core.run_folder import RunFolder
from texlens.exporting.pipeline import export_run
from texlens.inference.open import open_model
from texlens.models.load import load_model
from texlens.models.mixtures.experts import quantized_experts
from texlens.training.prepare import prepare

FAMILY = "qwen3_vl_moe"
EXPERTS = {"rank": 4, "alpha": 8, "targets": ["text-attention"], "experts": {"mode": "lora", "rank": 2, "alpha": 4}}
has_bitsandbytes = importlib.util.find_spec("bitsandbytes") is not None
HOW = ["fp8", pytest.param("nf4", marks=pytest.mark.skipif(not has_bitsandbytes, reason="no bitsandbytes"))]
pytestmark = pytest.mark.skipif(os.environ.get("MIXTURES") != "1", reason="make test-all runs it")


@pytest.fixture(autouse=True)
def any_device(monkeypatch):
    """Lets a CPU train over fp8, which a user's can't."""
    monkeypatch.setattr("texlens.models.quantized.fp8_unsupported_reason", lambda device: None)


def config_of(folder: Path, how: str, backend: str = "packed", **compute):
    if not (folder / FAMILY).is_dir():
        save_wide(folder / FAMILY, FAMILY)
        write_rows(folder / "rows/train-00000-of-00001.parquet", LABELS)
    values = {
        "output": str(folder),
        "model": {"path": str(folder / FAMILY)},
        "data": {"path": str(folder / "rows"), "splits": {"validation": None, "test": None}},
        "adapter": EXPERTS,
        "base": {"quantize": how},
        "train": {
            "steps": 4,
            "batch_size": 2,
            "compute": {"backend": backend, **compute},
            "checkpoints": {"every_steps": 2},
            "logging": {"every_steps": 1},
            "optimizer": {"learning_rate": 1e-2, "schedule": "constant"},
        },
    }
    return build_config(values)


def trained(folder: Path, *how, **compute):
    config = config_of(folder, *how, **compute)
    run = RunFolder.create(folder, "run", dump_config(config))
    run_training(config, run)
    return run, config


@pytest.mark.parametrize("how", HOW)
def test_both_backends_train_and_are_close_to_the_unquantized_base(how, tmp_path):
    packed, _ = trained(tmp_path, how, recompute="full")
    plain, _ = trained(tmp_path, how, "plain")
    exact, _ = trained(tmp_path, "none", "plain")
    assert packed.manifest["engine"]["fused_layers"] == 2
    assert losses(packed) == pytest.approx(losses(plain), rel=2e-2)
    assert losses(plain) == pytest.approx(losses(exact), rel=6e-2)
    assert losses(plain) != losses(exact)
    assert losses(plain)[-1] < losses(plain)[0]


@pytest.mark.parametrize("how", HOW)
def test_a_resumed_run_ends_with_the_same_weights_which_load_and_merge(how, tmp_path):
    run, config = trained(tmp_path, how)
    expected = load_file(run.adapter / "adapter_model.safetensors")
    shutil.rmtree(run.checkpoints / "checkpoint-4")
    run.update(state="training")
    run_training(config, run, resume=True)
    assert same_weights(load_file(run.adapter / "adapter_model.safetensors"), expected)
    opened = open_model(run.adapter, config=config).backend.model
    assert len(list(quantized_experts(opened))) == 2
    base = prepare(config, CONSOLE).base
    exact = load_adapter(load_model(base.folder, device="cpu"), run.adapter, fingerprint=base.fingerprint)
    ids = torch.arange(5, 45)[None]
    with torch.no_grad():
        logits, exact_logits = (model(input_ids=ids).logits for model in (opened, exact))
    assert 0.001 < (logits - exact_logits).norm() / exact_logits.norm() < 0.6
    export_run(config, run, tmp_path / "merged", "merged", console=CONSOLE)
    merged = load_model(tmp_path / "merged", device="cpu")
    with torch.no_grad():
        torch.testing.assert_close(merged(input_ids=ids).logits, exact_logits, rtol=1e-4, atol=1e-4)
