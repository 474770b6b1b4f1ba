"""Short seeded trainings of nano and one tiny model of each family: their losses, and the SHA-256 of their adapters.

A refactoring changes neither. `python -m tests.integration.seeded_runs FOLDER > FILE.json` writes what this checkout
gives; run it in two checkouts on one machine to compare them bit by bit. `--log-key watch.log_every_steps` is for
checkouts of version 0.1.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path

from tests.fixtures.tiny_models import FAMILY_NAMES, write_tiny_checkpoint
from texlens.cli.main import main

LORA = {"rank": 4, "alpha": 8, "dropout": 0.1, "targets": ["all-linear"]}
MOE_LORA = {**LORA, "targets": ["text-attention"], "experts": "lora"}
VARIANTS: dict[str, dict] = {
    "nano": {"adapter": {"rank": 2, "alpha": 4, "targets": ["text-attention"]}},
    **{name: {"adapter": MOE_LORA if name.endswith("moe") else LORA} for name in FAMILY_NAMES},
    "qwen3_vl/plain": {"adapter": LORA, "plain": True},
    "qwen3_vl/moe-lora": {"adapter": {"kind": "moe-lora", "experts": 2, "rank": 2, "targets": ["text-mlp"]}},
    "qwen3_vl/augment": {"adapter": LORA, "augment": "formula"},
}
STEPS = 4


def run_variant(name: str, folder: Path, log_key: str = "logging.every_steps") -> dict:
    """Losses of each step, and the digest of the adapter's tensors, of one training of `STEPS` steps."""
    folder.mkdir(parents=True)
    file = folder / "run.yaml"
    file.write_text(json.dumps(_settings(name, folder, log_key)))
    _texlens("train", str(file), "--no-compare")
    history = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    weights = (folder / "run" / "adapter" / "adapter_model.safetensors").read_bytes()
    return {
        "losses": [row["loss"] for row in history if "loss" in row],
        "adapter_sha256": hashlib.sha256(weights).hexdigest(),
    }


def _settings(name: str, folder: Path, log_key: str) -> dict:
    variant = VARIANTS[name]
    family = name.split("/")[0]
    path = "nano" if family == "nano" else str(write_tiny_checkpoint(folder / "checkpoint", family))
    branch, key = log_key.split(".")
    train = {"steps": STEPS, "batch_size": 2, branch: {key: 1}}
    if variant.get("plain"):
        train |= {"engine": "plain"} if branch == "watch" else {"compute": {"backend": "plain"}}
    data = {"path": "demo", "limit": 8, "splits": {"validation": None, "test": None}}
    if variant.get("augment"):
        data["augment"] = variant["augment"]
    model = {"path": path, "dtype": "float32", "device": "cpu"}
    adapter = variant["adapter"]
    return {"name": "run", "output": str(folder), "model": model, "data": data, "adapter": adapter, "train": train}


def _texlens(*arguments: str) -> None:
    before, sys.argv = sys.argv, ["texlens", *arguments]
    try:
        main()
    except SystemExit as stop:
        if stop.code:
            raise RuntimeError(f"texlens {' '.join(arguments)} ended with {stop.code}") from None
    finally:
        sys.argv = before


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="an empty folder for the runs")
    parser.add_argument("--log-key", default="logging.every_steps")
    options = parser.parse_args()
    output, sys.stdout = sys.stdout, sys.stderr
    results = {name: run_variant(name, options.folder / name.replace("/", "-"), options.log_key) for name in VARIANTS}
    json.dump(results, output, indent=2)
    output.write("\n")
