"""What `test_distributed.py` runs, in one process and in each of two that a launcher starts.

    python -m torch.distributed.run --standalone --nproc-per-node 2 distributed_runs.py CHECKPOINT OUTPUT

Each of `CASES` leaves a run folder OUTPUT/NAME, and each process OUTPUT/RANK.json with the case's observations.
"""

import gc
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from tests.fixtures.tiny_models import write_tiny_checkpoint
from tests.fixtures.training import run_training
from texlens.config.load import build_config
from texlens.core.errors import RunError
from texlens.core.run_folder import RunFolder
from texlens.data.sample import RejectedRow
from texlens.inputs.dataset import ExampleDataset
from texlens.models.packed.forward import PackedForward
from texlens.training.backends.packed import PackedBackend
from texlens.training.distributed.context import SINGLE_PROCESS, DistributedContext
from texlens.training.distributed.process_end import end_process
from texlens.training.distributed.process_group import process_group

BROKEN = 3
"""Index of a train row whose image is damaged when it is decoded."""
BASE = {
    "data": {
        "path": "demo",
        "prompt": "Write this formula as LaTeX, " * 5,
        "splits": {"train": "train[:11]", "validation": None},
    },
    "adapter": {"rank": 4, "alpha": 8, "dropout": 0.0, "targets": ["text-attention", "text-mlp"]},
    "train": {
        "epochs": 2,
        "batch_size": 5,
        "gradient_accumulation": 1,
        "compute": {"pack_tokens": 256},
        "checkpoints": {"every_steps": 3},
        "logging": {"every_steps": 1},
        "validation": {"every_steps": 3},
    },
    "evaluate": {"max_new_tokens": 4},
}


VALIDATED = {
    "data": {"splits": {"train": "train[:11]", "validation": "train[12:15]"}},
    "train": {"validation": {"every_steps": 3, "generation_rows": 2, "metrics": ["exact_match"]}},
}


ROUTED = {"kind": "moe-lora", "experts": 3, "balance": 1.0}
"""The balance loss weighs as much as the loss, so that counting it too often or too seldom shows."""


class StoppedError(Exception):
    pass


class Case:
    """One process's runs of one checkpoint."""

    def __init__(self, checkpoint: Path, output: Path, context: DistributedContext):
        self.checkpoint, self.output, self.context = checkpoint, output, context

    def config(self, **changes):
        values = {**BASE, "model": {"path": str(self.checkpoint)}, "output": str(self.output)}
        return build_config({**values, **{name: {**values[name], **new} for name, new in changes.items()}})

    def run(self, name: str, *, resume: bool = False, **changes) -> dict:
        config = self.config(**changes)
        self.context.broadcast(lambda: None if resume else RunFolder.create(self.output, name))
        return run_training(config, RunFolder(self.output / name), resume=resume, context=self.context)


def complete(case: Case) -> dict:
    """Two epochs of steps of 5, 5 and 1 rows, of which one is damaged, in packs of one row."""
    steps: list[list[list[str]]] = []
    get, train_step = ExampleDataset.__getitem__, PackedBackend.train_step

    def with_damage(rows, index):
        sample = rows.rows[index]
        broken = len(rows) == 11 and index == BROKEN
        return RejectedRow(sample.id, sample.image.where, "damaged") if broken else get(rows, index)

    def recording(backend, model, batch, step):
        steps.append([pack["rows"] for pack in batch["packs"]])
        return train_step(backend, model, batch, step)

    ExampleDataset.__getitem__, PackedBackend.train_step = with_damage, recording
    try:
        results = case.run("complete", **VALIDATED)
    finally:
        ExampleDataset.__getitem__, PackedBackend.train_step = get, train_step
    return {"steps": steps, "rejected": results["rows_rejected_while_training"]}


def stopped(case: Case) -> dict:
    """With dropout, so that random states count too: once uninterrupted, and once stopped after a checkpoint."""
    dropout = {"adapter": {"dropout": 0.2}, "train": {"steps": 4, "epochs": None}}
    case.run("uninterrupted", **dropout)
    train_step = PackedBackend.train_step

    def stop(backend, model, batch, step):
        if step.number == 4:
            raise StoppedError
        return train_step(backend, model, batch, step)

    PackedBackend.train_step = stop
    try:
        case.run("stopped", **dropout)
    except StoppedError:
        PackedBackend.train_step = train_step
        case.run("stopped", resume=True, **dropout)
    return {}


def nan(case: Case) -> dict:
    """In the second step, in the last process's first pack."""
    loss, steps = PackedForward.loss, []

    def nan_loss(forward, pack, **options):
        value = loss(forward, pack, **options)
        if not torch.is_grad_enabled() or options["adapters_unchanged"]:
            return value
        steps.append(pack["rows"])
        return value * float("nan") if len(steps) == 2 and case.context.rank == case.context.world_size - 1 else value

    PackedForward.loss = nan_loss
    try:
        case.run("nan", train={"checkpoints": {"every_steps": 1}})
    except RunError as error:
        return {"raised": str(error), "packs": steps}
    finally:
        PackedForward.loss = loss
    return {}


def cached_features(case: Case) -> dict:
    """A cache of its own for each run, so that one process can't read what two have written; and routers in packs."""
    os.environ["TEXLENS_CACHE"] = str(case.output / "cache")
    case.run("cached", train={"cache_features": "on", "steps": 4, "epochs": None}, adapter=ROUTED)
    return {}


def plain(case: Case) -> dict:
    """With routers, whose balance loss is per batch: two batches a step, in one process or one in each of two."""
    step = {"batch_size": 2, "gradient_accumulation": 2, "steps": 2, "epochs": None}
    case.run("plain", train={"compute": {"backend": "plain"}, **step}, adapter=ROUTED)
    return {}


def sharded(case: Case) -> dict:
    """Weights divided by FSDP, with recomputation; in one process they are whole."""
    compute = {"pack_tokens": 256, "recompute": "full"}
    case.run("sharded", train={"parallel": {"weights": "shard"}, "steps": 3, "epochs": None, "compute": compute})
    return {}


def divided_experts(case: Case) -> dict:
    """A mixture whose experts are divided, with adapters on them."""
    mixture = case.output / "mixture"
    case.context.broadcast(lambda: write_tiny_checkpoint(mixture, "qwen3_vl_moe"))
    case.run(
        "experts",
        model={"path": str(mixture)},
        train={"parallel": {"weights": "replicate", "experts": "shard"}, "steps": 3, "epochs": None},
        adapter={"targets": ["text-attention"], "experts": "lora"},
    )
    return {}


CASES: dict[str, Callable[[Case], dict]] = {
    case.__name__: case for case in (complete, stopped, nan, cached_features, plain, sharded, divided_experts)
}


def run_all(checkpoint: Path, output: Path, context: DistributedContext = SINGLE_PROCESS) -> None:
    torch.set_num_threads(1)
    output.mkdir(exist_ok=True, parents=True)
    case = Case(checkpoint, output, context)
    observations = {name: run(case) for name, run in CASES.items()}
    (output / f"{context.rank}.json").write_text(json.dumps(observations))


if __name__ == "__main__":
    gc.freeze()  # accelerate collects garbage after each run: 0.3 s, most of a run's end, over all that was imported
    with process_group() as context:
        run_all(Path(sys.argv[1]), Path(sys.argv[2]), context)
    end_process()
