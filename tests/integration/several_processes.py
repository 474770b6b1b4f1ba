"""What `test_several_processes.py` runs, in one process and in each of two that a launcher starts.

    python -m torch.distributed.run --standalone --nproc-per-node 2 several_processes.py CHECKPOINT OUTPUT

Each of `CASES` leaves a run folder OUTPUT/NAME, and each process OUTPUT/RANK.json: by case, what was seen and raised.
"""

import gc
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console

from texlens.config.load import build_config
from texlens.core.errors import RunError
from texlens.core.run_folder import RunFolder
from texlens.data.sample import RejectedRow
from texlens.inputs.dataset import ExampleDataset
from texlens.models.packed.forward import PackedForward
from texlens.train.distributed.context import ALONE, Processes, joined
from texlens.train.run import prepare, train
from texlens.train.trainer import LensTrainer

BROKEN = 3
"""The place of a train row whose image turns out to be damaged when it is decoded."""
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
        "accumulation": 1,
        "pack_tokens": 256,
        "checkpoints": {"every_steps": 3},
        "watch": {"log_every_steps": 1, "every_steps": 3},
    },
    "evaluate": {"max_new_tokens": 4},
}


VALIDATED = {
    "data": {"splits": {"train": "train[:11]", "validation": "train[12:15]"}},
    "train": {"watch": {**BASE["train"]["watch"], "sample_rows": 2}},
}


ROUTED = {"kind": "moe-lora", "experts": 3, "balance": 1.0}
"""The balance weighs as much as the loss, so that one that is taken too often or too seldom is seen."""


class StoppedError(Exception):
    pass


class Case:
    """One process's runs of one checkpoint."""

    def __init__(self, checkpoint: Path, output: Path, processes: Processes):
        self.checkpoint, self.output, self.processes = checkpoint, output, processes
        self.console = Console(file=open(os.devnull, "w"))  # noqa: SIM115 - closed with the process

    def config(self, **changes):
        values = {**BASE, "model": {"path": str(self.checkpoint)}, "output": str(self.output)}
        return build_config({**values, **{name: {**values[name], **new} for name, new in changes.items()}})

    def run(self, name: str, *, resume: bool = False, **changes) -> dict:
        config = self.config(**changes)
        made = self.output / name
        self.processes.from_main(lambda: None if resume else RunFolder.create(self.output, name))
        prepared = prepare(config, self.console, processes=self.processes)
        options = {"console": self.console, "resume": resume, "processes": self.processes}
        return train(config, prepared, RunFolder(made), **options)


def whole(case: Case) -> dict:
    """Two epochs of steps of 5, 5 and 1 rows, of which one is damaged, in packs of one row."""
    seen: list[list[list[str]]] = []
    get, take = ExampleDataset.__getitem__, LensTrainer._packed_step

    def with_damage(rows, index):
        sample = rows.rows[index]
        broken = len(rows) == 11 and index == BROKEN
        return RejectedRow(sample.id, sample.image.where, "damaged") if broken else get(rows, index)

    def noting(trainer, model, packs, labels):
        seen.append([pack["rows"] for pack in packs])
        return take(trainer, model, packs, labels)

    ExampleDataset.__getitem__, LensTrainer._packed_step = with_damage, noting
    try:
        facts = case.run("whole", **VALIDATED)
    finally:
        ExampleDataset.__getitem__, LensTrainer._packed_step = get, take
    return {"seen": seen, "refused": facts["rows_rejected_while_training"]}


def stopped(case: Case) -> dict:
    """With dropout, so that random numbers count too: once through, and once stopped after a checkpoint."""
    dropout = {"adapter": {"dropout": 0.2}, "train": {"steps": 4, "epochs": None}}
    case.run("through", **dropout)
    take = LensTrainer._packed_step

    def stop(trainer, *given):
        if trainer.state.global_step == 3:
            raise StoppedError
        return take(trainer, *given)

    LensTrainer._packed_step = stop
    try:
        case.run("stopped", **dropout)
    except StoppedError:
        LensTrainer._packed_step = take
        case.run("stopped", resume=True, **dropout)
    return {}


def not_a_number(case: Case) -> dict:
    """In the second step, in the last process's first pack."""
    loss, steps = PackedForward.loss, []

    def spoilt(forward, pack, **options):
        value = loss(forward, pack, **options)
        if not torch.is_grad_enabled() or options["adapters_unchanged"]:
            return value
        steps.append(pack["rows"])
        return value * float("nan") if len(steps) == 2 and case.processes.rank == case.processes.count - 1 else value

    PackedForward.loss = spoilt
    try:
        case.run("nan", train={"checkpoints": {"every_steps": 1}})
    except RunError as error:
        return {"raised": str(error), "packs": steps}
    finally:
        PackedForward.loss = loss
    return {}


def kept_features(case: Case) -> dict:
    """A cache for as many processes, so that one can't help itself to what two have made; and routers in packs."""
    os.environ["TEXLENS_CACHE"] = str(case.output / "cache")
    case.run("kept", train={"cache_features": "on", "steps": 4, "epochs": None}, adapter=ROUTED)
    return {}


def plain(case: Case) -> dict:
    """With routers, whose balance is of each batch: one process takes two batches a step, of two each takes one."""
    step = {"batch_size": 2, "accumulation": 2, "steps": 2, "epochs": None}
    case.run("plain", train={"engine": "plain", "pack_tokens": "auto", **step}, adapter=ROUTED)
    return {}


CASES: dict[str, Callable[[Case], dict]] = {
    case.__name__: case for case in (whole, stopped, not_a_number, kept_features, plain)
}


def run_all(checkpoint: Path, output: Path, processes: Processes = ALONE) -> None:
    torch.set_num_threads(1)
    output.mkdir(exist_ok=True, parents=True)
    case = Case(checkpoint, output, processes)
    gc.freeze()  # accelerate collects garbage after each run: 0.3 s, most of a run's end, over all that was imported
    told = {name: run(case) for name, run in CASES.items()}
    gc.unfreeze()
    (output / f"{processes.rank}.json").write_text(json.dumps(told))


if __name__ == "__main__":
    with joined() as those:
        run_all(Path(sys.argv[1]), Path(sys.argv[2]), those)
