"""How much faster several GPUs train than one, by the step that `texlens train --processes` takes.

    torchrun --standalone --nproc-per-node 2 benchmarks/several_gpus.py [--parallel weights] [--tiny] [--output FILE]

Qwen3-VL-4B with random weights in bf16, LoRA r=16 on the seven text projections, packs of 16k tokens, the rows of
`fast_path_rows.py`. First the main process trains alone on its share of a step while the others wait, then all train
together, each on as many rows; packs are laid beforehand. It reports samples a second of both, the efficiency (together
by alone and number of processes), what adding up the gradients takes by itself, and the loss and gradient norm of one
step of all rows, together and by the main process alone.

With `--parallel weights`, `experts` or `both` the processes divide the model's weights after that, and are measured
once more, with the peak of their memory; `--only-divided` measures nothing else.

    torchrun --standalone --nproc-per-node 2 benchmarks/several_gpus.py --parallel experts --rows 56 --rank 128
        --targets q_proj,k_proj,v_proj,o_proj --model Qwen3-VL-30B-A3B-Instruct
"""

import argparse
import contextlib
import json
import os
import platform
import time
from pathlib import Path

os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")  # as `texlens train` does

import torch
from fast_path import build, pack_on
from fast_path_rows import (
    GIB,
    RANK,
    base_model,
    made_examples,
    settings_of,
    spec_of,
    synchronize,
    text_projections,
)
from peft import LoraConfig, get_peft_model
from torch import distributed

from texlens.data.geometry import ImageGeometry
from texlens.inputs.packed_collator import ShardedCollator, assign_packs
from texlens.models.families import family_of
from texlens.models.packed.forward import PackedForward, packed_forward
from texlens.models.sharding.divided_model import divide_model
from texlens.models.sharding.division import Division
from texlens.training.backends.packed_step import packed_step, reduce_gradients
from texlens.training.distributed.context import SINGLE_PROCESS, DistributedContext
from texlens.training.distributed.process_group import process_group
from texlens.training.nan_guard import NanGuard

WARM, BATCHES = 3, 4
Batch = tuple[list[dict], int]
"""Packs of this process, and label tokens of the step in all of them."""


def main() -> None:
    options = _options()
    with process_group() if "RANK" in os.environ else contextlib.nullcontext(SINGLE_PROCESS) as context:
        device = torch.device("cuda", context.local_rank) if torch.cuda.is_available() else torch.device("cpu")
        result = measured(options, context, device)
        if context.is_main:
            print(json.dumps(result), flush=True)
            if options.output:
                Path(options.output).write_text(json.dumps(result, indent=1) + "\n")


class Arm:
    """A model with its optimizer, and the steps that it takes alone or with others."""

    def __init__(self, options, device: torch.device):
        settings = settings_of(options.model, options.tiny)
        family = family_of(settings)
        geometry = ImageGeometry(family.patch_size, mean=family.mean, std=family.std)
        adapted = adapted_model(settings, device, options)
        self.model, self.geometry = adapted.base_model.model, geometry
        model = self.model
        self.backend = backend = "triton" if device.type == "cuda" else "cpu"
        self.divided = False
        self.forward: PackedForward | None = None
        if not options.only_divided:
            self.forward = packed_forward(model, geometry, backend=backend)
        self.trained = [parameter for parameter in adapted.parameters() if parameter.requires_grad]
        self.reset(SINGLE_PROCESS)
        self.layout = spec_of(model.config, geometry, family, padded=backend == "triton")
        self.device, self.options, self.patch = device, options, geometry.patch_size

    def divide(self, context: DistributedContext) -> None:
        """Leaves this process's part of the weights, and fused layers over them."""
        kind = self.options.parallel
        self.forward = None
        division = Division(kind in ("weights", "both"), kind in ("experts", "both"), context.rank, context.world_size)
        divided = divide_model(self.model, division, self.device)
        self.forward = packed_forward(self.model, self.geometry, backend=self.backend, divided=divided)
        self.divided = True
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def reset(self, context: DistributedContext) -> None:
        """With the main process's adapters, and no moments."""
        context.broadcast_parameters(self.trained)
        self.optimizer = torch.optim.AdamW(self.trained, lr=1e-4, fused=True)

    def batches(self, context: DistributedContext, count: int = BATCHES) -> list[Batch]:
        """Steps of so many rows for each process, dealt as training deals them."""
        rows = self.options.rows * context.world_size
        examples = made_examples(rows * count, self.patch)
        steps = [examples[start : start + rows] for start in range(0, len(examples), rows)]
        return [self.batch(step, context) for step in steps]

    def batch(self, rows: list, context: DistributedContext) -> Batch:
        dealt = assign_packs([len(row) for row in rows], self.options.pack_tokens, context.world_size)
        laid = ShardedCollator(self.layout)([[rows[number] for number in pack] for pack in dealt[context.rank]])
        labels = sum(context.all_gather(laid["label_count"]))
        return [pack_on(self.device, pack) for pack in laid["packs"]], labels

    def gradients(self, batch: Batch, context: DistributedContext, guard: NanGuard) -> torch.Tensor:
        """Loss and gradient norm of a step, whose gradients are left behind, clipped."""
        packs, labels = batch
        most = max(context.all_gather(len(packs))) if self.divided else len(packs)
        idle = [packs[-1]] * (most - len(packs))
        taken = packed_step(self.forward, packs, labels, self.trained, context, idle=idle)
        guard.check(taken.is_bad, taken.any_bad, [pack["rows"] for pack in packs], 0, self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        return torch.stack([taken.loss, norm])

    def rate(self, context: DistributedContext) -> dict:
        """Of `steps` steps in a row."""
        batches, guard = self.batches(context), NanGuard(context)
        for number in range(-WARM, self.options.steps):
            if number == 0:
                synchronize(self.device)
                context.barrier()
                began = time.perf_counter()
            batch = batches[number % len(batches)]
            context.all_gather(batch[1])  # training exchanges its counts here
            self.gradients(batch, context, guard)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        synchronize(self.device)
        context.barrier()
        spent = time.perf_counter() - began
        guard.flush()
        tokens = [sum(pack["tokens"] for pack in packs) for packs, _ in batches]
        return {
            "samples_per_s": round(self.options.rows * context.world_size * self.options.steps / spent, 2),
            "step_s": round(spent / self.options.steps, 4),
            "tokens_of_processes": context.all_gather(round(sum(tokens) / len(tokens))),
            "packs_of_processes": context.all_gather(len(batches[0][0])),
        }

    def outcome(self, context: DistributedContext, count: int) -> list[float]:
        """Loss and norm of one step of the rows of `count` processes, which is not taken."""
        batch = self.batch(made_examples(self.options.rows * count, self.patch), context)
        outcome = self.gradients(batch, context, NanGuard(context)).tolist()
        self.optimizer.zero_grad(set_to_none=True)
        return [round(value, 5) for value in outcome]

    def adding_s(self, context: DistributedContext) -> float:
        """Seconds to add up the gradients of all processes."""
        for parameter in self.trained:
            parameter.grad = torch.zeros_like(parameter)
        times = []
        for _ in range(8):
            synchronize(self.device)
            context.barrier()
            began = time.perf_counter()
            reduce_gradients(self.trained, torch.zeros(2, device=self.device), context)
            synchronize(self.device)
            times.append(time.perf_counter() - began)
        self.optimizer.zero_grad(set_to_none=True)
        return sorted(times)[len(times) // 2]


def measured(options, context: DistributedContext, device: torch.device) -> dict:
    began = time.monotonic()
    arm = Arm(options, device)
    arm.reset(context)
    report(context, f"model built after {time.monotonic() - began:.0f} s")
    whole = single_process = together = shared = None
    if not options.only_divided:
        together = arm.outcome(context, context.world_size)
        report(context, f"first step after {time.monotonic() - began:.0f} s")
        whole = arm.outcome(SINGLE_PROCESS, context.world_size) if context.is_main else None
        single_process = arm.rate(SINGLE_PROCESS) if context.is_main else None
        report(context, f"alone: {single_process}")
        context.barrier()
        arm.reset(context)
        shared = arm.rate(context)
    adding = arm.adding_s(context) if context.is_distributed else 0.0
    divided = divided_figures(arm, context, options) if options.parallel != "replicate" else None
    numbers = sum(parameter.numel() for parameter in arm.trained)
    peak = torch.cuda.max_memory_allocated() / GIB if device.type == "cuda" else 0.0
    peaks = context.all_gather(round(peak, 2))
    if not context.is_main:
        return {}
    return {
        "model": options.model + (" (tiny)" if options.tiny else ""),
        "hardware": f"{context.world_size} x {hardware(device)}",
        "torch": torch.__version__,
        "backend": str(distributed.get_backend()) if context.is_distributed else None,
        "processes": context.world_size,
        "rows_a_process": options.rows,
        "pack_tokens": options.pack_tokens,
        "steps": options.steps,
        "alone": single_process,
        "together": shared,
        "efficiency": efficiency(shared, single_process, context.world_size),
        "divided": divided,
        "divided_efficiency": efficiency((divided or {}).get("rate"), single_process, context.world_size),
        "adding_gradients_s": round(adding, 5),
        "gradients_mib": round(4 * numbers / 2**20, 1),
        "loss_and_norm_together": together,
        "loss_and_norm_by_one": whole,
        "peak_gib": peaks,
        "seconds_in_all": round(time.monotonic() - began, 1),
    }


def divided_figures(arm: Arm, context: DistributedContext, options) -> dict:
    """Loss, norm, rate and peak memory with divided weights."""
    arm.divide(context)
    arm.reset(context)
    outcome = arm.outcome(context, context.world_size)
    arm.reset(context)
    rate = arm.rate(context)
    peak = torch.cuda.max_memory_allocated() / GIB if arm.device.type == "cuda" else 0.0
    return {
        "parallel": options.parallel,
        "loss_and_norm": outcome,
        "rate": rate,
        "peak_gib_of_processes": context.all_gather(round(peak, 2)),
    }


def efficiency(shared: dict | None, single_process: dict | None, processes: int) -> float | None:
    """Samples a second of all processes, by those of one and their number."""
    return (
        round(shared["samples_per_s"] / single_process["samples_per_s"] / processes, 4)
        if shared and single_process
        else None
    )


def adapted_model(settings: dict, device: torch.device, options):
    """With random weights, and adapters of this rank on these layers."""
    if options.rank == RANK and not options.targets:
        return build(settings, device)
    names = "|".join(options.targets.split(",")) if options.targets else text_projections(settings)
    targets = rf".*language_model\..*\.({names})" if options.targets else names
    config = LoraConfig(r=options.rank, lora_alpha=options.rank, target_modules=targets, task_type="CAUSAL_LM")
    return get_peft_model(base_model(settings, device), config).train()


def hardware(device: torch.device) -> str:
    return torch.cuda.get_device_name() if device.type == "cuda" else f"{platform.machine()} CPU"


def report(context: DistributedContext, text: str) -> None:
    if context.is_main:
        print(f"# {text}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="Qwen3-VL-4B-Instruct")
    parser.add_argument("--rows", type=int, default=112, help="of a step, for each process")
    parser.add_argument("--pack-tokens", type=int, default=18_432)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--output")
    parser.add_argument("--parallel", choices=("replicate", "weights", "experts", "both"), default="replicate")
    parser.add_argument("--only-divided", action="store_true", help="measure nothing with whole weights")
    parser.add_argument("--rank", type=int, default=RANK)
    parser.add_argument("--targets", default="", help="names of adapted linear layers, separated by commas")
    parser.add_argument("--tiny", action="store_true", help="a small model of the same family, on a CPU")
    options = parser.parse_args()
    if options.tiny:
        options.rows, options.pack_tokens, options.steps = 6, 1024, 3
    return options


if __name__ == "__main__":
    main()
