"""One arm of `several_gpus.py`: training steps in packs, by one process or by those of torchrun.

    python benchmarks/several_gpus_step.py --model Qwen3-VL-30B-A3B-Instruct --result FILE
    torchrun --standalone --nproc-per-node 2 benchmarks/several_gpus_step.py --parallel experts --result FILE

Random weights are drawn where they stay: of what is divided, a process draws its own rows alone, the same values as one
process that has all. Rows are those of `fast_path_rows.py`; packs are laid beforehand, so figures are of model time.
"""

import argparse
import contextlib
import json
import os
import platform
import sys
import time
import zlib
from pathlib import Path

os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")  # as `texlens train` does

import torch
from fast_path import pack_on
from fast_path_rows import GIB, drawn_lengths, made_examples, settings_of, spec_of, synchronize, text_projections
from peft import LoraConfig, get_peft_model
from torch import Tensor, distributed

from texlens.config.load import build_config
from texlens.config.quantize import QuantizeSettings
from texlens.data.geometry import ImageGeometry
from texlens.inputs.packed_collator import ShardedCollator, assign_packs
from texlens.models.families import family_of
from texlens.models.meta_model import model_without_weights
from texlens.models.packed.forward import packed_forward
from texlens.models.packed.memory import stored_bytes
from texlens.models.sharding.divided_model import divide_model
from texlens.models.sharding.division import Division
from texlens.models.sharding.load import fill_quantized_to_divide, fill_to_divide
from texlens.planner.gpus import find_gpu
from texlens.planner.plan import plan_on_gpu
from texlens.planner.rows import RowSize
from texlens.training.backends.packed_step import packed_step, reduce_gradients
from texlens.training.distributed.context import SINGLE_PROCESS, DistributedContext
from texlens.training.distributed.process_end import end_process
from texlens.training.distributed.process_group import process_group
from texlens.training.nan_guard import NanGuard

BATCHES = 4
FEW_LAYERS = 4
PROMPT = 25
"""Text tokens of a row besides its answer."""
Batch = tuple[list[dict], int]
"""Packs of this process, and label tokens of the step in all of them."""


def main() -> None:
    options = _options()
    with group_of(options) as context:
        device = torch.device("cuda", context.local_rank) if torch.cuda.is_available() else torch.device("cpu")
        if device.type == "cuda":
            torch.cuda.set_device(device)
        result = measured(options, context, device)
        written(options, context, result)
        result["plan"] = planned(options, context.world_size) if context.is_main else None
        written(options, context, result)
        context.barrier()
    if context.is_distributed:
        end_process()


def group_of(options) -> contextlib.AbstractContextManager[DistributedContext]:
    """Those of torchrun, if it started this one; with `--one-gpu` all on the first GPU, where NCCL refuses them."""
    if "RANK" not in os.environ:
        return contextlib.nullcontext(SINGLE_PROCESS)
    if not options.one_gpu:
        return process_group()
    os.environ["LOCAL_RANK"] = "0"
    distributed.init_process_group("gloo")
    return contextlib.nullcontext(DistributedContext(distributed.get_rank(), distributed.get_world_size()))


def measured(options, context: DistributedContext, device: torch.device) -> dict:
    began = time.monotonic()
    arm = Arm(options, context, device)
    built_s, building = time.monotonic() - began, peak_gib(device)
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    outcome = arm.outcome(max(options.outcome_of, context.world_size))
    report(context, f"first step after {time.monotonic() - began:.0f} s: {outcome}")
    arm.reset()
    rate = arm.rate()
    report(context, str(rate))
    return {
        "parallel": options.parallel,
        "processes": context.world_size,
        "hardware": torch.cuda.get_device_name() if device.type == "cuda" else f"{platform.machine()} CPU",
        "torch": torch.__version__,
        **rate,
        "loss_and_norm": outcome,
        "peak_gib": context.all_gather(peak_gib(device)),
        "peak_gib_while_building": context.all_gather(building),
        "kept_gib": context.all_gather(round(stored_bytes(arm.adapted) / GIB, 3)),
        "adding_gradients_s": round(arm.adding_s(), 5) if context.is_distributed else 0.0,
        "gradients_mib": round(sum(4 * parameter.numel() for parameter in arm.trained) / 2**20, 1),
        "built_s": round(built_s, 1),
        "seconds_in_all": round(time.monotonic() - began, 1),
    }


class RandomRows:
    """See `rows.WeightRows`: normal numbers from a seed of the name, of stacks a seed for each expert. Norms are 1,
    and biases 0."""

    def __init__(self, shapes: dict[str, tuple[int, ...]], dtype: torch.dtype, device: torch.device):
        self.shapes, self.dtype, self.device = shapes, dtype, device

    def __call__(self, name: str, rows: slice = slice(None)) -> Tensor:
        shape = self.shapes[name]
        options = {"dtype": self.dtype, "device": self.device}
        if len(shape) == 1:
            return torch.full(shape, float(name.endswith("weight")), **options)[rows]
        if ".experts." not in name:
            return self._drawn(name, torch.empty(shape, **options))[rows]
        first, last, _ = rows.indices(shape[0])
        stack = torch.empty(last - first, *shape[1:], **options)
        for expert in range(first, last):
            self._drawn(f"{name}.{expert}", stack[expert - first])
        return stack

    def _drawn(self, seed: str, out: Tensor) -> Tensor:
        return out.normal_(0.0, 0.02, generator=torch.Generator(self.device).manual_seed(zlib.crc32(seed.encode())))


class Arm:
    """A model with its optimizer, and the steps that its processes take together."""

    def __init__(self, options, context: DistributedContext, device: torch.device):
        self.options, self.context, self.device = options, context, device
        settings = settings_with(options)
        family = family_of(settings)
        self.geometry = ImageGeometry(family.patch_size, mean=family.mean, std=family.std)
        weights, experts = options.parallel in ("weights", "both"), options.parallel in ("experts", "both")
        self.division = Division(weights, experts, context.rank, context.world_size)
        model, rows_of = base_model(settings, self.division, device, options.quantize)
        self.adapted = adapted_model(model, settings, options)
        inner = self.adapted.base_model.model
        divided = divide_model(inner, self.division, device, rows_of)
        backend = "triton" if device.type == "cuda" else "cpu"
        self.forward = packed_forward(inner, self.geometry, backend=backend, divided=divided)
        self.trained = [parameter for parameter in self.adapted.parameters() if parameter.requires_grad]
        self.layout = spec_of(inner.config, self.geometry, family, padded=backend == "triton")
        self.reset()

    def reset(self) -> None:
        """With the main process's adapters, and no moments."""
        self.context.broadcast_parameters(self.trained)
        self.optimizer = torch.optim.AdamW(self.trained, lr=1e-4, fused=True)

    def batch(self, rows: list) -> Batch:
        """A step's rows, dealt as training deals them."""
        dealt = assign_packs([len(row) for row in rows], self.options.pack_tokens, self.context.world_size)
        laid = ShardedCollator(self.layout)([[rows[number] for number in pack] for pack in dealt[self.context.rank]])
        labels = sum(self.context.all_gather(laid["label_count"]))
        return [pack_on(self.device, pack) for pack in laid["packs"]], labels

    def gradients(self, batch: Batch, guard: NanGuard) -> Tensor:
        """Loss and gradient norm of a step, whose gradients are left behind, clipped."""
        packs, labels = batch
        most = max(self.context.all_gather(len(packs))) if self.division.is_divided else len(packs)
        idle = [packs[-1]] * (most - len(packs))
        taken = packed_step(self.forward, packs, labels, self.trained, self.context, idle=idle)
        guard.check(taken.is_bad, taken.any_bad, [pack["rows"] for pack in packs], 0, self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        return torch.stack([taken.loss, norm])

    def rate(self) -> dict:
        """Of `steps` steps in a row."""
        count = self.options.rows * self.context.world_size
        examples = made_examples(count * BATCHES, self.geometry.patch_size)
        batches = [self.batch(examples[start : start + count]) for start in range(0, len(examples), count)]
        guard, began = NanGuard(self.context), 0.0
        for number in range(-self.options.warm, self.options.steps):
            if number == 0:
                synchronize(self.device)
                self.context.barrier()
                began = time.perf_counter()
            batch = batches[number % len(batches)]
            self.context.all_gather(batch[1])  # training exchanges its counts here
            self.gradients(batch, guard)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        synchronize(self.device)
        self.context.barrier()
        spent = time.perf_counter() - began
        guard.flush()
        tokens = [sum(pack["tokens"] for pack in packs) for packs, _ in batches]
        return {
            "rows_per_s": round(count * self.options.steps / spent, 3),
            "step_s": round(spent / self.options.steps, 4),
            "tokens_of_processes": self.context.all_gather(round(sum(tokens) / len(tokens))),
            "packs_of_processes": self.context.all_gather(len(batches[0][0])),
        }

    def outcome(self, shares: int) -> list[float]:
        """Loss and norm of one step of the rows of so many processes, which is not taken."""
        batch = self.batch(made_examples(self.options.rows * shares, self.geometry.patch_size))
        outcome = self.gradients(batch, NanGuard(self.context)).tolist()
        self.optimizer.zero_grad(set_to_none=True)
        return [round(value, 5) for value in outcome]

    def adding_s(self) -> float:
        """Seconds to add up the gradients of all processes."""
        for parameter in self.trained:
            parameter.grad = torch.zeros_like(parameter)
        times = []
        for _ in range(8):
            synchronize(self.device)
            self.context.barrier()
            began = time.perf_counter()
            reduce_gradients(self.trained, torch.zeros(2, device=self.device), self.context)
            synchronize(self.device)
            times.append(time.perf_counter() - began)
        self.optimizer.zero_grad(set_to_none=True)
        return sorted(times)[len(times) // 2]


def settings_with(options) -> dict:
    """The model's, with fewer decoder layers where the options say so."""
    settings = settings_of(options.model, options.tiny)
    if options.layers:
        settings["text_config"] = {**settings["text_config"], "num_hidden_layers": options.layers}
    return settings


def base_model(settings: dict, division: Division, device: torch.device, quantize: str):
    """Without what `division` divides, and where its rows come from."""
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    model = model_without_weights(settings, dtype=dtype)
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    rows_of = RandomRows(shapes, dtype, device)
    if quantize != "none":
        return fill_quantized_to_divide(model, division, rows_of, QuantizeSettings(quantize=quantize), device)
    return fill_to_divide(model, division, rows_of, device), rows_of


def adapted_model(model, settings: dict, options):
    names = "|".join(options.targets.split(",")) if options.targets else text_projections(settings)
    targets = rf".*language_model\..*\.({names})" if options.targets else names
    config = LoraConfig(r=options.rank, lora_alpha=options.rank, target_modules=targets, task_type="CAUSAL_LM")
    torch.manual_seed(0)
    return get_peft_model(model, config).train()


def planned(options, processes: int) -> dict:
    """What `texlens plan` says of each GPU."""
    sizes = [
        RowSize(((height, width),), PROMPT + answer + 1, answer + 1)
        for height, width, answer in drawn_lengths(options.rows * processes * BATCHES)
    ]
    targets = [{"q_proj,k_proj,v_proj,o_proj": "text-attention"}.get(options.targets, options.targets)]
    parallel = {
        "weights": "shard" if options.parallel in ("weights", "both") else "replicate",
        "experts": "shard" if options.parallel in ("experts", "both") else "replicate",
    }
    train = {"epochs": 1, "batch_size": options.rows * processes, "gradient_accumulation": 1, "parallel": parallel}
    config = build_config(
        {
            "model": {"path": f"Qwen/{options.model}"},
            "base": {"quantize": options.quantize},
            "data": {"path": "demo"},
            "adapter": {
                "rank": options.rank,
                "alpha": options.rank,
                "targets": targets if options.targets else ["text-attention", "text-mlp"],
            },
            "train": {**train, "compute": {"pack_tokens": options.pack_tokens, "recompute": "none"}},
        }
    )
    plan = plan_on_gpu(config, settings_with(options), sizes, find_gpu("h200"), processes)
    return {
        "peak_gib": round(plan.memory.total, 2),
        "allocated_gib": round(plan.memory.allocated, 2),
        "rows_per_s": round(plan.rows_per_second, 2),
        "memory": plan.memory.to_json(),
        "sharing": plan.sharing.to_json() if plan.sharing else None,
    }


def peak_gib(device: torch.device) -> float:
    return round(torch.cuda.max_memory_allocated() / GIB, 2) if device.type == "cuda" else 0.0


def written(options, context: DistributedContext, result: dict) -> None:
    if context.is_main:
        Path(options.result).write_text(json.dumps(result))


def report(context: DistributedContext, text: str) -> None:
    if context.is_main:
        print(f"# {text}", file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="Qwen3-VL-8B-Instruct", help="a Qwen3-VL whose config ships")
    parser.add_argument("--parallel", choices=("replicate", "weights", "experts", "both"), default="replicate")
    parser.add_argument("--rows", type=int, default=56, help="of a step, for each process")
    parser.add_argument("--outcome-of", type=int, default=2, help="processes whose rows are in the step of the loss")
    parser.add_argument("--pack-tokens", type=int, default=18_432)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--quantize", choices=("none", "fp8", "nf4"), default="none", help="of a mixture")
    parser.add_argument("--warm", type=int, default=3, help="steps before those that are timed")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--targets", default="", help="names of adapted linear layers, separated by commas")
    parser.add_argument("--tiny", action="store_true", help="a small model of the same family, on a CPU")
    parser.add_argument("--layers", type=int, default=0, help="decoder layers; 0 is all of the model's")
    parser.add_argument("--one-gpu", action="store_true", help="all processes on one GPU, for few steps of few layers")
    parser.add_argument("--result", required=True)
    options = parser.parse_args()
    if options.tiny:
        options.rows, options.pack_tokens, options.steps, options.warm = 2, 1024, 1, 1
    elif options.one_gpu:
        options.layers, options.steps, options.warm = options.layers or FEW_LAYERS, 1, 0
    return options


if __name__ == "__main__":
    main()
