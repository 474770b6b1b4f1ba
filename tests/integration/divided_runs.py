"""What `test_divided.py` runs, in one process and in each of several that a launcher starts.

    python -m torch.distributed.run --nproc-per-node 2 divided_runs.py CHECKPOINTS OUTPUT [NAME ... | --resume NAME]

Each run leaves a run folder OUTPUT/NAME. In one process nothing is divided, whatever a run asks for.
"""

import contextlib
import os
import sys
import traceback
from pathlib import Path

import torch

from tests.fixtures.training import run_training
from tests.integration.distributed_runs import BASE, ROUTED
from texlens.config.load import build_config
from texlens.core.run_folder import RunFolder
from texlens.models import quantized
from texlens.training.backends.packed import PackedBackend
from texlens.training.distributed.context import SINGLE_PROCESS, DistributedContext
from texlens.training.distributed.process_end import end_process
from texlens.training.distributed.process_group import process_group

DENSE = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_5")
MIXTURES = ("qwen3_vl_moe", "qwen3_5_moe")
WEIGHTS, EXPERTS = {"weights": "shard"}, {"weights": "replicate", "experts": "shard"}
BOTH = {"weights": "shard", "experts": "shard"}
ATTENTION: dict = {"adapter": {"targets": ["text-attention"]}}
ADAPTED_EXPERTS: dict = {"adapter": {"targets": ["text-attention"], "experts": "lora"}}
RECOMPUTE: dict = {"train": {"compute": {"pack_tokens": 256, "recompute": "full"}}}
QUANTIZED: tuple = (
    ("weights", "qwen2_5_vl", WEIGHTS, "fp8", {}),
    ("weights", "qwen2_5_vl", WEIGHTS, "nf4", {}),
    ("weights recompute", "qwen3_vl", WEIGHTS, "fp8", RECOMPUTE),
    ("weights recompute", "qwen3_vl", WEIGHTS, "nf4", RECOMPUTE),
    ("weights routed", "qwen3_vl", WEIGHTS, "nf4", {"adapter": ROUTED}),
    *(
        (name, "qwen3_vl_moe", parallel, how, changes)
        for how in ("fp8", "nf4")
        for name, parallel, changes in (
            ("weights", WEIGHTS, ATTENTION),
            ("experts", EXPERTS, ATTENTION),
            ("both adapted", BOTH, ADAPTED_EXPERTS),
        )
    ),
)
"""Name, family, `train.parallel`, `base.quantize` and other settings; of models whose widths suit both formats."""
QUANTIZED_FAMILIES = sorted({family for _, family, *_ in QUANTIZED})
STEPS = 3
STOP_AT = 3


def _runs() -> dict[str, tuple[str, dict, dict]]:
    """Family, `train.parallel` and other settings of each run."""
    runs = {f"{family} weights": (family, WEIGHTS, {}) for family in DENSE}
    for family in MIXTURES:
        for name, parallel in (("weights", WEIGHTS), ("experts", EXPERTS), ("both", BOTH)):
            runs[f"{family} {name}"] = (family, parallel, ATTENTION)
            runs[f"{family} {name} adapted"] = (family, parallel, ADAPTED_EXPERTS)
    runs["qwen3_vl recompute"] = ("qwen3_vl", WEIGHTS, RECOMPUTE)
    runs["qwen3_vl_moe recompute"] = ("qwen3_vl_moe", BOTH, {**RECOMPUTE, **ADAPTED_EXPERTS})
    runs["qwen3_5_moe recompute"] = ("qwen3_5_moe", BOTH, {**RECOMPUTE, **ADAPTED_EXPERTS})
    runs["qwen3_vl routed"] = ("qwen3_vl", WEIGHTS, {"adapter": ROUTED})
    runs["qwen3_vl_moe routed"] = ("qwen3_vl_moe", BOTH, {"adapter": {**ATTENTION["adapter"], **ROUTED}})
    for name, family, parallel, how, changes in QUANTIZED:
        runs[f"{family} {how} {name}"] = (f"{family}-wide", parallel, {"base": {"quantize": how}, **changes})
    runs["stopped"] = ("qwen3_vl_moe", BOTH, ADAPTED_EXPERTS)
    runs["dropped"] = ("qwen3_vl", WEIGHTS, {"adapter": {"dropout": 0.2}})
    return runs


RUNS = _runs()


class StoppedError(Exception):
    pass


def config_of(name: str, checkpoints: Path, output: Path):
    family, parallel, changes = RUNS[name]
    train = {
        **BASE["train"],
        "epochs": None,
        "steps": 4 if name in ("stopped", "dropped") else STEPS,
        "parallel": parallel,
        "checkpoints": {"every_steps": 2},
        "validation": {"every_steps": 2, "generation_rows": 2, "metrics": ["exact_match", "edit_similarity"]},
        **changes.get("train", {}),
    }
    data = {**BASE["data"], "splits": {"train": "train[:11]", "validation": "train[12:15]"}}
    adapter = {**BASE["adapter"], **changes.get("adapter", {})}
    model, base = {"path": str(checkpoints / family)}, changes.get("base", {})
    return build_config(
        {**BASE, "model": model, "base": base, "output": str(output), "data": data, "adapter": adapter, "train": train}
    )


def run(name: str, checkpoints: Path, output: Path, context: DistributedContext, *, resume: bool = False) -> None:
    context.broadcast(lambda: None if resume else RunFolder.create(output, name))
    run_training(config_of(name, checkpoints, output), RunFolder(output / name), resume=resume, context=context)


def run_stopped(name: str, checkpoints: Path, output: Path, context: DistributedContext) -> None:
    """Ends before the third step, after a checkpoint."""
    train_step = PackedBackend.train_step

    def stop(backend, model, batch, step):
        if step.number == STOP_AT:
            raise StoppedError
        return train_step(backend, model, batch, step)

    PackedBackend.train_step = stop
    try:
        run(name, checkpoints, output, context)
    except StoppedError:
        traceback.clear_frames(sys.exc_info()[2])
    finally:
        PackedBackend.train_step = train_step


def run_all(checkpoints: Path, output: Path, context: DistributedContext = SINGLE_PROCESS, names=None) -> None:
    torch.set_num_threads(1)
    quantized.fp8_unsupported_reason = lambda device: None  # a CPU may train over fp8 here, which a user's can't
    output.mkdir(exist_ok=True, parents=True)
    for name in names or RUNS:
        if name == "stopped" and context.is_distributed:
            run_stopped(name, checkpoints, output, context)
            continue
        run(name, checkpoints, output, context)
        if name == "dropped":
            (output / name).rename(output / "uninterrupted") if context.is_main else None
            context.barrier()
            run_stopped(name, checkpoints, output, context)
            run(name, checkpoints, output, context, resume=True)


if __name__ == "__main__":
    checkpoints_folder, output_folder, *arguments = sys.argv[1:]
    group = process_group() if int(os.environ.get("WORLD_SIZE", 1)) > 1 else contextlib.nullcontext(SINGLE_PROCESS)
    with group as context_of_all:
        if arguments[:1] == ["--resume"]:
            torch.set_num_threads(1)
            run(arguments[1], Path(checkpoints_folder), Path(output_folder), context_of_all, resume=True)
        else:
            run_all(Path(checkpoints_folder), Path(output_folder), context_of_all, arguments)
    end_process()
