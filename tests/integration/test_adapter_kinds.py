"""Every kind of adapter through a whole run: both engines give the same losses, and a resumed run the same weights."""

import os
import shutil
from pathlib import Path

import pytest
from rich.console import Console
from safetensors.torch import load_file

from tests.fixtures.tiny_models import write_tiny_checkpoint
from texlens.adapters.lora import adapter_files, same_weights
from texlens.config.load import build_config
from texlens.core.run_folder import RunFolder
from texlens.train.run import prepare, train

CONSOLE = Console(file=open(os.devnull, "w"))  # noqa: SIM115 - closed with the process
ATTENTION = ["text-attention"]
KINDS = {
    "moe-lora": ("qwen3_vl", {"kind": "moe-lora", "rank": 4, "targets": [*ATTENTION, "vision"]}),
    "full": ("qwen3_vl", {"kind": "full", "targets": [*ATTENTION, "merger", "embed", "head"]}),
    "all": ("qwen2_vl", {"kind": "full", "targets": ["all"]}),
    "experts": ("qwen3_vl_moe", {"rank": 2, "targets": ATTENTION, "experts": "lora", "merger": "full"}),
    "shared experts": ("qwen3_vl_moe", {"rank": 2, "targets": ATTENTION, "experts": "shared"}),
    "groups": ("qwen3_vl", {"dora": True, "train_also": ["embed_tokens"], "vision": {"rank": 2, "dropout": 0.1}}),
    "pissa": ("qwen2_5_vl", {"rank": 4, "init": "pissa"}),
    "eva": ("qwen3_vl", {"rank": 4, "init": "eva", "targets": [*ATTENTION, "vision"]}),
}


def run(folder: Path, family: str, adapter: dict, engine: str, **changes) -> tuple[RunFolder, object]:
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
                "engine": engine,
                "checkpoints": {"every_steps": 2},
                "watch": {"log_every_steps": 1},
                "optimizer": {"learning_rate": 1e-3},
                **changes,
            },
        }
    )
    made = RunFolder.create(folder, "run")
    train(config, prepare(config, CONSOLE), made, console=CONSOLE)
    return made, config


def losses(folder: RunFolder) -> list[float]:
    return [row["loss"] for row in folder.history() if "loss" in row]


def weights(folder: RunFolder) -> dict:
    return {name: part for file in adapter_files(folder.adapter) for name, part in load_file(file).items()}


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(KINDS))
def test_a_resumed_run_ends_with_the_same_weights(kind, tmp_path):
    made, config = run(tmp_path, *KINDS[kind], engine="plain")
    expected, told = weights(made), losses(made)
    shutil.rmtree(made.checkpoints / "checkpoint-4")
    shutil.rmtree(made.adapter)
    train(config, prepare(config, CONSOLE), made, console=CONSOLE, resume=True)
    assert same_weights(weights(made), expected)
    assert losses(made) == told


@pytest.mark.parametrize("kind", ["moe-lora", "all", "experts", "eva"])
def test_both_engines_give_the_same_losses(kind, tmp_path):
    plain, packed = (run(tmp_path, *KINDS[kind], engine=engine)[0] for engine in ("plain", "packed"))
    assert losses(packed) == pytest.approx(losses(plain), rel=1e-4)


def test_the_use_of_experts_stands_beside_the_loss(tmp_path):
    made, _ = run(tmp_path, *KINDS["moe-lora"], engine="packed")
    rows = [row for row in made.history() if "expert_use" in row]
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert len(rows[0]["expert_use"]) == 8 + 12
    assert all(sum(shares) == pytest.approx(1, abs=1e-3) for row in rows for shares in row["expert_use"].values())


@pytest.mark.parametrize("shape", [{"batch_size": 8}, {"batch_size": 2, "accumulation": 4}])
@pytest.mark.parametrize("engine", ["plain", "packed"])
def test_the_routers_loss_weighs_the_same_however_a_step_is_divided(shape, engine, tmp_path):
    """It is near 1 at the start, where experts are used alike, so half of it adds half to the loss."""
    first = []
    for balance in (0.0, 0.5):
        adapter = {"kind": "moe-lora", "rank": 4, "targets": ATTENTION, "balance": balance}
        first.append(losses(run(tmp_path, "qwen3_vl", adapter, engine, **{**shape, "steps": 1})[0])[0])
    assert first[1] - first[0] == pytest.approx(0.5, rel=0.02)
