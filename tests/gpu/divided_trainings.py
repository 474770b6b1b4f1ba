"""What `test_divided_two_processes.py` runs: whole trainings in packs by one process, or by two that share one GPU.

    python tests/gpu/divided_trainings.py CHECKPOINTS OUTPUT NAME ...
    torchrun --standalone --nproc-per-node 2 tests/gpu/divided_trainings.py CHECKPOINTS OUTPUT NAME ...

Each name leaves a run folder OUTPUT/NAME, or a file OUTPUT/NAME.error. Two processes train it twice: OUTPUT/NAME has
divided weights, "OUTPUT/NAME replicated" whole ones. They meet through gloo, because NCCL refuses two processes on one
GPU.
"""

import os
import sys
import traceback
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed

from tests.fixtures.training import run_training
from tests.integration.distributed_runs import BASE
from tests.integration.divided_runs import ADAPTED_EXPERTS, ATTENTION, BOTH, EXPERTS, WEIGHTS
from texlens.config.load import build_config
from texlens.core.run_folder import RunFolder
from texlens.training.distributed.context import SINGLE_PROCESS, DistributedContext
from texlens.training.distributed.process_end import end_process

FLOAT32: dict = {"model": {"dtype": "float32"}, "train": {"compute": {"compile": "off"}}}
"""Without kernels of our own, so that one process and two differ by float32's rounding alone."""
CASES: dict[str, tuple[str, dict, dict]] = {
    "dense": ("qwen3_vl", WEIGHTS, {}),
    "dense float32": ("qwen3_vl", WEIGHTS, FLOAT32),
    "dense fp8": ("qwen3_vl", WEIGHTS, {"base": {"quantize": "fp8"}}),
    "dense nf4": ("qwen3_vl", WEIGHTS, {"base": {"quantize": "nf4"}}),
    "experts": ("qwen3_vl_moe", EXPERTS, ADAPTED_EXPERTS),
    "experts float32": ("qwen3_vl_moe", BOTH, {**ADAPTED_EXPERTS, **FLOAT32}),
    "experts fp8": ("qwen3_vl_moe", BOTH, {**ADAPTED_EXPERTS, "base": {"quantize": "fp8"}}),
    "experts nf4": ("qwen3_vl_moe", BOTH, {**ATTENTION, "base": {"quantize": "nf4"}}),
}
"""Family, `train.parallel` and other settings."""
REPLICATED = {"weights": "replicate", "experts": "replicate"}
STEPS = 3
PATIENCE = timedelta(seconds=60)
MEMORY_GIB = 8
"""Of each process. Where memory is limited, no pack is a CUDA graph, so both trainings lay their packs alike."""


def main() -> None:
    checkpoints, output, *names = sys.argv[1:]
    Path(output).mkdir(exist_ok=True)
    context = joined()
    for name in names:
        try:
            run(name, Path(checkpoints), Path(output), context)
        except Exception:  # noqa: BLE001 - the other trainings are tested all the same
            Path(output, f"{name}.error").write_text(traceback.format_exc())
    if context.is_distributed:
        distributed.destroy_process_group()


def joined() -> DistributedContext:
    """Both processes take the first GPU, as a machine of their own."""
    if "RANK" not in os.environ:
        return SINGLE_PROCESS
    os.environ |= {"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}
    distributed.init_process_group("gloo", timeout=PATIENCE)
    return DistributedContext(distributed.get_rank(), distributed.get_world_size())


def run(name: str, checkpoints: Path, output: Path, context: DistributedContext) -> None:
    trainings = {name: CASES[name][1]}
    if context.is_distributed:
        trainings[f"{name} replicated"] = REPLICATED
    for folder, parallel in trainings.items():
        context.broadcast(lambda folder=folder: RunFolder.create(output, folder))
        config = config_of(name, parallel, checkpoints, output)
        run_training(config, RunFolder(output / folder), context=context)


def config_of(name: str, parallel: dict, checkpoints: Path, output: Path):
    family, _, changes = CASES[name]
    limits = {"memory_gib": MEMORY_GIB} if torch.cuda.is_available() else {}
    train = {
        **BASE["train"],
        "epochs": None,
        "steps": STEPS,
        "parallel": parallel,
        "workers": 0,
        "compute": {"pack_tokens": 512, **limits, **changes.get("train", {}).get("compute", {})},
        "validation": {"every_steps": STEPS, "generation_rows": 2, "metrics": ["edit_similarity"]},
    }
    data = {**BASE["data"], "splits": {"train": "train[:11]", "validation": "train[12:15]"}}
    model = {"path": str(checkpoints / family), **changes.get("model", {})}
    adapter = {**BASE["adapter"], **changes.get("adapter", {})}
    values = {**BASE, "model": model, "base": changes.get("base", {}), "data": data, "adapter": adapter, "train": train}
    return build_config({**values, "output": str(output)})


if __name__ == "__main__":
    main()
    end_process()
