"""Planned memory of usual settings, as the table in docs/explanation/memory-and-time.md has it. Needs no GPU.

    PYTHONPATH=src python benchmarks/planner_table.py

LoRA r 16 on attention and MLP (attention alone for the mixture of experts), a formula of 168 image tokens and 117 text
tokens in each row, plain backend, activations recomputed; `full` trains the language model itself.
"""

import json
import sys

from texlens.config.load import build_config
from texlens.models.bundled import bundled_config, bundled_names
from texlens.planner.memory import plan_memory
from texlens.planner.plan import simulate
from texlens.planner.rows import ASSUMED, batches_of


def planned(model: str, rows: int, **settings) -> float:
    """GiB that the GPU must have."""
    compute = {"backend": "plain", "gradient_checkpointing": True}
    config = build_config(
        {
            "model": {"path": model},
            "data": {"path": "demo"},
            "train": {"epochs": 1, "batch_size": rows, "compute": compute},
            **settings,
        }
    )
    model_config = bundled_config(model)
    assert model_config is not None
    step, trained = simulate(config, model_config, batches_of([ASSUMED] * rows, rows).worst)
    return round(plan_memory(step, trained).total, 1)


def main() -> None:
    for model in bundled_names():
        experts = "A3B" in model
        adapter = {"kind": "lora", "rank": 16, "targets": ["text-attention"] + ([] if experts else ["text-mlp"])}
        row: dict = {"model": model}
        for rows in (1, 8):
            row[f"lora x{rows}"] = planned(model, rows, adapter=adapter)
            row[f"nf4 x{rows}"] = planned(model, rows, adapter=adapter, base={"quantize": "nf4"})
        if not experts:
            row["full x1"] = planned(model, 1, adapter={"kind": "full"})
        print(json.dumps(row), flush=True)
        print(model, file=sys.stderr)


if __name__ == "__main__":
    main()
