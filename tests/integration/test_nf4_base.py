"""Training runs on an NF4 base: packs compared with the plain backend."""

import importlib.util
from pathlib import Path

import pytest

from tests.fixtures.training import run_training
from tests.unit.models.packed.test_nf4 import save_wide
from texlens.config.load import build_config
from texlens.core.run_folder import RunFolder

needs_bitsandbytes = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed"
)


def run(folder: Path, **changes) -> RunFolder:
    values = {
        "output": str(folder),
        "model": {"path": str(folder / "base")},
        "data": {"path": "demo", "limit": 8, "splits": {"validation": None}},
        "adapter": {"rank": 4, "alpha": 8, "targets": ["text-attention", "text-mlp"]},
        "base": {"quantize": "nf4"},
        "train": {"steps": 3, "batch_size": 4, "logging": {"every_steps": 1}, **changes},
    }
    config = build_config(values | {"train": values["train"] | {"optimizer": {"learning_rate": 1e-2}}})
    created = RunFolder.create(folder, "run")
    run_training(config, created)
    return created


def losses(folder: RunFolder) -> list[float]:
    return [row["loss"] for row in folder.history() if "loss" in row]


@needs_bitsandbytes
@pytest.mark.parametrize("family", ["qwen3_vl", "qwen2_5_vl"])
def test_losses_of_packs_on_nf4_equal_those_of_the_plain_backend_even_with_little_memory(family, tmp_path):
    save_wide(tmp_path / "base", family)
    plain = losses(run(tmp_path, compute={"backend": "plain"}))
    packed, little = run(tmp_path), run(tmp_path, compute={"backend": "packed", "memory_gib": 0.0073})
    engines = [folder.manifest["engine"] for folder in (packed, little)]
    assert [engine["fused_layers"] for engine in engines] == [2, 2]
    assert [engine["recompute"] for engine in engines] == ["none", "full"]
    assert losses(packed) == pytest.approx(plain, rel=1e-5)
    assert losses(little) == pytest.approx(plain, rel=1e-5)
    assert plain[0] != plain[2]
