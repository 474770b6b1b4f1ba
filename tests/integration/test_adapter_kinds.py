"""Every kind of adapter through a complete run: both backends give the same losses, a resumed run the same weights."""

import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.fixtures.tiny_models import write_tiny_checkpoint
from tests.fixtures.training import losses, run_training, same_weights
from texlens.adapters.lora import adapter_files
from texlens.config.load import build_config
from texlens.core.run_folder import RunFolder

ATTENTION = ["text-attention"]
KINDS = {
    "moe-lora": ("qwen3_vl", {"kind": "moe-lora", "rank": 4, "targets": [*ATTENTION, "vision"]}),
    "full": ("qwen3_vl", {"kind": "full", "targets": [*ATTENTION, "merger", "embed", "head"]}),
    "all": ("qwen2_vl", {"kind": "full", "targets": ["all"]}),
    "experts": ("qwen3_vl_moe", {"rank": 2, "targets": ATTENTION, "experts": "lora", "merger": "full"}),
    "shared experts": ("qwen3_vl_moe", {"rank": 2, "targets": ATTENTION, "experts": "shared"}),
    "groups": ("qwen3_vl", {"dora": True, "modules_to_save": ["embed_tokens"], "vision": {"rank": 2, "dropout": 0.1}}),
    "pissa": ("qwen2_5_vl", {"rank": 4, "init": "pissa"}),
    "eva": ("qwen3_vl", {"rank": 4, "init": "eva", "targets": [*ATTENTION, "vision"]}),
}


def run(folder: Path, family: str, adapter: dict, backend: str, **changes) -> tuple[RunFolder, object]:
    if not (folder / family).is_dir():
        write_tiny_checkpoint(folder / family, family)
    config = build_config(
        {
            "output": str(folder),
            "model": {"path": str(folder / family)},
            "data": {"path": "demo", "limit": 12, "splits": {"validation": None}},
            "adapter": adapter,
            "train": {
                "steps": 4,
                "batch_size": 2,
                "compute": {"backend": backend},
                "checkpoints": {"every_steps": 2},
                "logging": {"every_steps": 1},
                "optimizer": {"learning_rate": 1e-3},
                **changes,
            },
        }
    )
    run_folder = RunFolder.create(folder, "run")
    run_training(config, run_folder)
    return run_folder, config


def weights(folder: RunFolder) -> dict:
    return {name: part for file in adapter_files(folder.adapter) for name, part in load_file(file).items()}


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(KINDS))
def test_a_resumed_run_ends_with_the_same_weights(kind, tmp_path):
    folder, config = run(tmp_path, *KINDS[kind], backend="plain")
    expected_weights, expected_losses = weights(folder), losses(folder)
    shutil.rmtree(folder.checkpoints / "checkpoint-4")
    shutil.rmtree(folder.adapter)
    run_training(config, folder, resume=True)
    assert same_weights(weights(folder), expected_weights)
    assert losses(folder) == expected_losses


@pytest.mark.parametrize("kind", ["moe-lora", "all", "experts", "eva"])
def test_both_backends_give_the_same_losses(kind, tmp_path):
    plain, packed = (run(tmp_path, *KINDS[kind], backend=backend)[0] for backend in ("plain", "packed"))
    assert losses(packed) == pytest.approx(losses(plain), rel=1e-4)


@pytest.mark.parametrize("backend", ["plain", "packed"])
def test_expert_utilization_is_logged_with_the_loss(backend, tmp_path):
    folder, _ = run(tmp_path, *KINDS["moe-lora"], backend=backend)
    rows = [row for row in folder.history() if "expert_use" in row]
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert all(row["balance_loss"] == pytest.approx(1, abs=0.02) for row in rows)
    assert len(rows[0]["expert_use"]) == 8 + 12
    assert all(sum(shares) == pytest.approx(1, abs=1e-3) for row in rows for shares in row["expert_use"].values())


@pytest.mark.parametrize("shape", [{"batch_size": 8}, {"batch_size": 2, "gradient_accumulation": 4}])
@pytest.mark.parametrize("backend", ["plain", "packed"])
def test_balance_loss_does_not_depend_on_how_a_step_is_divided(shape, backend, tmp_path):
    """It is near 1 at the start, where experts are used evenly, so a weight of 0.5 adds 0.5 to the loss."""
    first = []
    for balance in (0.0, 0.5):
        adapter = {"kind": "moe-lora", "rank": 4, "targets": ATTENTION, "balance": balance}
        first.append(losses(run(tmp_path, "qwen3_vl", adapter, backend, **{**shape, "steps": 1})[0])[0])
    assert first[1] - first[0] == pytest.approx(0.5, rel=0.02)
