"""What runs of objectives have in common, and the runs that several processes do together.

    python -m torch.distributed.run --standalone --nproc-per-node 2 objective_runs.py CHECKPOINT ROWS OUTPUT

leaves a run folder OUTPUT/NAME for each of `TOGETHER`.
"""

import sys
from pathlib import Path

import torch

from tests.fixtures.training import run_training
from texlens.config.load import build_config, dump_config
from texlens.core.run_folder import RunFolder
from texlens.training.distributed.context import SINGLE_PROCESS, DistributedContext
from texlens.training.distributed.process_end import end_process
from texlens.training.distributed.process_group import process_group

LORA = {"kind": "lora", "rank": 4, "alpha": 8, "dropout": 0.1, "targets": ["all-linear"]}
GRPO = {"kind": "grpo", "answers": 3, "max_new_tokens": 6, "rewards": {"edit_similarity": 1.0}}
OBJECTIVES = {
    "dpo": {"kind": "dpo", "sft_weight": 0.1},
    "kto": "kto",
    "orpo": "orpo",
    "grpo": {**GRPO, "updates": 2},
}
TOGETHER = {
    "dpo": OBJECTIVES["dpo"],
    "kto": "kto",
    "orpo": "orpo",
    "grpo": {**GRPO, "advantage": "batch", "kl": 0.1},
    "grpo by answers": {**GRPO, "normalize": "answers", "skip_flat": False},
}
"""One update a step, since how a step's groups are divided among several updates depends on the processes."""


def config_of(model, output, rows, objective, adapter=LORA, validation=None, **train):
    return build_config(
        {
            "name": "run",
            "output": str(output),
            "model": {"path": str(model)},
            "data": {"path": str(rows), "splits": {"validation": validation, "test": None}},
            "adapter": adapter,
            "train": {
                "objective": objective,
                "steps": 2,
                "batch_size": 3,
                "checkpoints": {"every_steps": 1},
                "logging": {"every_steps": 1},
                "optimizer": {"learning_rate": 0.01, "schedule": "constant"},
                **train,
            },
        }
    )


def run_together(checkpoint: Path, rows: Path, output: Path, context: DistributedContext = SINGLE_PROCESS) -> None:
    torch.set_num_threads(1)
    for name, objective in TOGETHER.items():
        adapter = LORA | {"dropout": 0.0}
        config = config_of(checkpoint, output, rows, objective, adapter, batch_size=5, steps=3)
        folder = name.replace(" ", "-")
        context.broadcast(lambda folder=folder, config=config: RunFolder.create(output, folder, dump_config(config)))
        run_training(config, RunFolder(output / folder), context=context)


if __name__ == "__main__":
    with process_group() as context:
        run_together(*map(Path, sys.argv[1:]), context)
    end_process()
