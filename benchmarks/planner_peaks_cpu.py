"""Compares the memory plan of packs on a CPU with what a run allocates: the bundled model on the demo rows.

    PYTHONPATH=src python benchmarks/planner_peaks_cpu.py --output benchmarks/results/planner-peaks_cpu_DATE.json

Each combination runs three steps in a process of its own. Allocated is the peak of all floating-point tensors, counted
storage by storage; beside it the process's resident memory, Python and libraries included. The plan is that of the
largest pack that was run, by its tokens, labels and patches. `CPU_PADDING` comes from the combinations named in
`FITTED`; the others are held out.
"""

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import yaml
from recipes import RECIPES, planned_bytes
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.fixtures.memory_peak import MemoryPeak

from texlens.adapters.build import build_adapter
from texlens.config.load import build_config
from texlens.core.run_folder import RunFolder
from texlens.models.build import build_model
from texlens.training.backends.choose import build_backend
from texlens.training.build import TrainContext, build_trainer
from texlens.training.logging.throughput import peak_resident_bytes
from texlens.training.prepare import prepare

GIB = 2**30
TEXT = ["text-attention", "text-mlp"]
COMBINATIONS: dict[str, dict[str, Any]] = {
    "all layers, 8 rows": {},
    "language model with dropout, 8 rows": {"adapter": {"kind": "lora", "rank": 16, "targets": TEXT, "dropout": 0.05}},
    "MoE-LoRA, 16 rows": {"adapter": {"kind": "moe-lora", "rank": 8, "targets": TEXT}, "train": {"batch_size": 16}},
    "tower and merger alone with dropout, 12 rows": {
        "adapter": {"kind": "lora", "rank": 8, "targets": ["vision", "merger"], "dropout": 0.1},
        "train": {"batch_size": 12},
    },
    "all layers, everything recomputed, 16 rows": {"train": {"batch_size": 16, "compute": {"recompute": "full"}}},
    "DoRA, 8 rows": {"adapter": {"kind": "lora", "rank": 16, "targets": TEXT, "dora": True}},
    "DoRA with dropout, module by module, 8 rows": {
        "adapter": {"kind": "lora", "rank": 16, "targets": TEXT, "dora": True, "dropout": 0.05}
    },
}

FITTED = ("all layers, 8 rows", "all layers, everything recomputed, 16 rows")


def measure(changes: dict[str, Any]) -> dict[str, Any]:
    recipe = yaml.safe_load((RECIPES / "nano_latex-ocr_lora.yaml").read_text())
    del recipe["train"]["epochs"]
    train = {**recipe["train"], "steps": 3, **changes.get("train", {})}
    config = build_config({**recipe, **changes, "train": train})
    console = Console(file=open(os.devnull, "w"))  # noqa: SIM115 - closed with the process
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare(config, console)
        model: Any = build_model(prepared.base, config.model, config.base)
        adapted = build_adapter(model, prepared.plan, config.adapter, seed=0, base_path=config.model.path)
        backend: Any = build_backend(config, adapted, prepared.base.processor)
        context = TrainContext(config, prepared, RunFolder.create(Path(folder), "run"), console)
        trainer, _ = build_trainer(context, adapted, backend, 0)
        sizes = _note_packs(trainer)
        peak = MemoryPeak()
        for tensor in (*model.parameters(), *model.buffers()):
            peak.note(tensor)
        with peak:
            trainer.train()
    largest = tokens, labels, patches = max(sizes)
    planned = planned_bytes(config, backend, model, largest)
    return {
        "planned_gib": round(planned / GIB, 4),
        "allocated_gib": round(peak.peak / GIB, 4),
        "error": round(planned / peak.peak - 1, 4),
        "resident_gib": round(peak_resident_bytes() / GIB, 3),
        "pack": {"tokens": tokens, "labels": labels, "patches": patches, "recompute": backend.settings["recompute"]},
    }


def _note_packs(trainer: Any) -> list[tuple[int, int, int]]:
    """Tokens, labels and patches of the packs of each step."""
    sizes: list[tuple[int, int, int]] = []
    take = trainer.get_batch_samples

    def taken(*arguments: Any) -> Any:
        batches, count = take(*arguments)
        packs = (pack for batch in batches for pack in batch["packs"])
        sizes.extend((len(pack["ids"]), len(pack["labels"]), len(pack["patches"])) for pack in packs)
        return batches, count

    trainer.get_batch_samples = taken
    return sizes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="combinations whose name has this in it")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    rows = {}
    for name, changes in COMBINATIONS.items():
        if arguments.only in name:
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                rows[name] = {"role": "fitted" if name in FITTED else "held out", **pool.apply(measure, (changes,))}
            print(f"{name}: {json.dumps(rows[name])}", flush=True)
    result = {
        "command": " ".join(["python benchmarks/planner_peaks_cpu.py", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d"),
        "hardware": f"CPU, {os.cpu_count()} cores",
        "torch": torch.__version__,
        "rows": rows,
    }
    if arguments.output:
        arguments.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
