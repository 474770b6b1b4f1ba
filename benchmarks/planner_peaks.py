"""Compares the planner with measured peaks: one training step of each combination, simulated and run.

    PYTHONPATH=src python benchmarks/planner_peaks.py --output benchmarks/results/planner-peaks_h200_DATE.json
    PYTHONPATH=src python benchmarks/planner_peaks.py --tiny          # on the CPU: predicts, runs tiny models
    PYTHONPATH=src python benchmarks/planner_peaks.py --repredict FILE [--packed FAST_PATH_FILE] --output FILE

Random weights are drawn on the GPU from the configurations that ship. What runs is our plain path: the stock forward
inside PEFT, bf16 autocast by accelerate, our loss over labels, clipping, fused AdamW. Combinations with nf4 (tower and
head in 16 bits) need bitsandbytes, a wheel of 41 MiB, and are named as failed without it; peak, reserved and step time
come from a process of each combination's own. About three minutes on one H200. `--repredict` keeps what
a file has measured and renews the predictions (two minutes on a CPU); `--packed` adds what benchmarks/fast_path.py
measured of packs.

The planner's constants (duration.LAUNCH_US, memory.FRAGMENTATION) are fitted to the combinations that are not held out.
"""

import argparse
import json
import multiprocessing
import platform
import statistics
import sys
import time
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from accelerate import Accelerator
from nf4_layers import UNQUANTIZED, quantize_in_nf4
from peft import LoraConfig, get_peft_model
from planner_packs import predict_packed
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from texlens.kernels.loss.label_loss import label_loss
from texlens.models.bundled import bundled_config
from texlens.models.families import Family, family_of
from texlens.models.load import random_model
from texlens.models.meta_model import meta_model
from texlens.planner.duration import time_step
from texlens.planner.gpus import find_gpu
from texlens.planner.memory import GIB, plan_memory
from texlens.planner.simulated_ops import quantize
from texlens.planner.simulated_step import Batch, make_inputs, make_labels, simulate_step

STEPS = 4
GPU = "h200"
"""Predicted times use its rates."""
TEXT = ("text-attention", "text-mlp")


@dataclass(frozen=True)
class Combination:
    """`grid` is rows and columns of patches of each image; `text` and `labels` are tokens a row, labels among text."""

    model: str
    method: str
    rows: int
    checkpointing: bool
    grid: tuple[int, int] = (8, 80)
    text: int = 140
    labels: int = 90
    groups: tuple[str, ...] = TEXT
    rank: int = 16
    held_out: bool = False

    @property
    def batch(self) -> Batch:
        height, width = self.grid
        return Batch(self.rows, height * width // 4 + self.text, self.rows * self.labels, ((self.grid,),) * self.rows)

    @property
    def title(self) -> str:
        recompute = " recompute" if self.checkpointing else ""
        return f"{self.model} {self.method} r{self.rank} {self.rows}x{self.batch.length}{recompute}"


COMBINATIONS = (
    Combination("Qwen3-VL-4B-Instruct", "lora", 8, False),
    Combination("Qwen3-VL-4B-Instruct", "lora", 16, True, held_out=True),
    Combination("Qwen3-VL-4B-Instruct", "nf4", 8, True, held_out=True),
    Combination("Qwen3-VL-4B-Instruct", "nf4", 4, False, (24, 40), 160, held_out=True),
    Combination("Qwen2.5-VL-7B-Instruct", "nf4", 8, True, held_out=True),
    Combination("Qwen3-VL-8B-Instruct", "lora", 4, False, held_out=True),
    Combination("Qwen3-VL-8B-Instruct", "lora", 16, True, (24, 40), 160),
    Combination("Qwen2.5-VL-3B-Instruct", "lora", 8, False, groups=(*TEXT, "vision"), held_out=True),
    Combination("Qwen2.5-VL-7B-Instruct", "lora", 8, True, groups=(*TEXT, "vision")),
    Combination("Qwen2-VL-2B-Instruct", "lora", 16, False, rank=64, held_out=True),
    Combination("Qwen2-VL-2B-Instruct", "full", 4, True, held_out=True),
    Combination("Qwen2-VL-2B-Instruct", "full", 8, False),
    Combination("Qwen3-VL-30B-A3B-Instruct", "lora", 8, True, groups=("text-attention",), held_out=True),
    Combination("Qwen3-VL-30B-A3B-Instruct", "lora", 4, False, groups=("text-attention",)),
)


def adapt(base: nn.Module, family: Family, combination: Combination) -> nn.Module:
    """What is trained: the base itself, or PEFT's LoRA on it, as `texlens train` attaches it."""
    if combination.method == "full":
        return base
    pattern = "|".join(f"(?:{family.groups[group]})" for group in combination.groups)
    lora = LoraConfig(r=combination.rank, lora_alpha=16, target_modules=pattern, bias="none", task_type="CAUSAL_LM")
    return get_peft_model(base, lora)  # pyrefly: ignore


def predict(combination: Combination, config: dict) -> dict:
    family = family_of(config)
    began = time.perf_counter()
    base = meta_model(config).to(torch.bfloat16)
    if combination.method == "nf4":
        quantize(base, "nf4", UNQUANTIZED)
    model = adapt(base, family, combination)
    step = simulate_step(model, base, family, combination.batch, checkpointing=combination.checkpointing)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    plan = plan_memory(step, trained)
    return {
        **plan.to_json(),
        "weights_gib": round(sum(plan.parts[name] for name in ("frozen weights", "trained weights")), 3),
        "optimizer_gib": round(plan.parts["optimizer"], 3),
        "gradients_gib": round(step.gradients / GIB, 3),
        "reserved_gib": round(plan.allocated + plan.fragmentation, 3),
        "step_ms": round(1000 * time_step(step.work, find_gpu(GPU)).seconds, 1),
        "flops": step.flops,
        "calls": len(step.work),
        "traffic_bytes": sum(nbytes for _, nbytes in step.work),
        "seconds_to_plan": round(time.perf_counter() - began, 1),
    }


def measure(combination: Combination, config: dict, device: str) -> dict:
    cuda = device == "cuda"
    family = family_of(config)
    torch.manual_seed(0)
    with torch.device(device):
        base = random_model(config, dtype=torch.bfloat16, attn_implementation="sdpa")
    if combination.method == "nf4":
        quantize_in_nf4(base)
    model = adapt(base, family, combination)
    model.train()
    if combination.checkpointing:
        base.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    weights = _allocated(cuda)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    accelerator = Accelerator(mixed_precision="bf16", cpu=not cuda)
    model, optimizer = accelerator.prepare(model, torch.optim.AdamW(trained, lr=1e-5, fused=cuda))
    inputs = make_inputs(base, family, combination.batch, pixels_on=device)
    inputs = {name: tensor.to(device) for name, tensor in inputs.items()}
    labels = make_labels(combination.batch).to(device)
    times, after_forward, steady, losses = [], 0.0, 0.0, []
    for number in range(STEPS):
        if cuda and number == 1:
            torch.cuda.synchronize()
            steady = _allocated(cuda)
            torch.cuda.reset_peak_memory_stats()
        began = time.perf_counter()
        loss = _forward(model, inputs, labels)
        after_forward = _allocated(cuda)
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
        del loss
        times.append(time.perf_counter() - began)
    return {
        "allocated_gib": round(torch.cuda.max_memory_allocated() / GIB, 3) if cuda else None,
        "reserved_gib": round(torch.cuda.max_memory_reserved() / GIB, 3) if cuda else None,
        "context_gib": round(_context(), 3) if cuda else None,
        "weights_gib": round(weights, 3),
        "between_steps_gib": round(steady, 3),
        "after_forward_gib": round(after_forward, 3),
        "step_ms": [round(1000 * seconds, 1) for seconds in times[1:]],
        "samples_per_s": round(combination.rows / min(times[1:]), 2),
        "losses": [round(loss, 3) for loss in losses],
    }


def _forward(model, inputs: dict, labels: torch.Tensor) -> torch.Tensor:
    outputs = model(**inputs, use_cache=False)
    return label_loss(outputs.logits, labels)


def _allocated(cuda: bool) -> float:
    return torch.cuda.memory_allocated() / GIB if cuda else 0.0


def _context() -> float:
    """What this process holds of the GPU outside of PyTorch's allocator, if it is alone on it."""
    free, total = torch.cuda.mem_get_info()
    return (total - free - torch.cuda.memory_reserved()) / GIB


def tiny(config: dict) -> dict:
    """The same family with two narrow layers."""
    text = {**config.get("text_config", config)}
    text |= {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "vocab_size": 152064}
    text |= {"num_attention_heads": 4, "num_key_value_heads": 2} | ({"head_dim": 128} if "head_dim" in text else {})
    text |= {"rope_scaling": {**text["rope_scaling"], "mrope_section": [2, 3, 3]}} if "head_dim" not in text else {}
    text |= {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32} if "num_experts" in text else {}
    vision = {**config["vision_config"], "depth": 2, "num_heads": 2}
    width_key = "embed_dim" if "embed_dim" in vision else "hidden_size"
    vision |= {"intermediate_size": 96, "hidden_size": 64, "out_hidden_size": 64, width_key: 64}
    vision |= {"fullatt_block_indexes": [1]} if "fullatt_block_indexes" in vision else {}
    vision |= {"deepstack_visual_indexes": [0]} if "deepstack_visual_indexes" in vision else {}
    whole = {**config, "text_config": text} if "text_config" in config else text
    return {**whole, "vision_config": vision}


def _answer(task, combination: Combination, config: dict, *arguments):
    try:
        return task(combination, config, *arguments)
    except Exception as error:  # noqa: BLE001 - a combination that fails is named in the results
        return {"failed": f"{type(error).__name__}: {error}"[:600]}


def _in_its_own_process(task, *arguments):
    """A process forked from one that has opened the GPU can't use it; bitsandbytes opens it when it is imported."""
    kind = "spawn" if torch.cuda.is_initialized() else "fork"
    with multiprocessing.get_context(kind).Pool(1) as pool:
        return pool.apply(_answer, (task, *arguments))


def _command() -> str:
    """As it was called, but for the folders of absolute paths, which say nothing elsewhere."""
    parts = (Path(part).name if Path(part).is_absolute() else part for part in sys.argv[1:])
    return " ".join(["python benchmarks/planner_peaks.py", *parts])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", action="store_true", help="tiny models on the CPU: a test of this script")
    parser.add_argument("--only", default="", help="combinations whose title has this in it")
    parser.add_argument("--predict", action="store_true", help="predict alone; needs no GPU")
    parser.add_argument("--repredict", type=Path, help="a file of this script, whose measured part is kept")
    parser.add_argument("--packed", type=Path, nargs="*", default=[], help="files of benchmarks/fast_path.py")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", category=FutureWarning)
    chosen = [combination for combination in COMBINATIONS if arguments.only.lower() in combination.title.lower()]
    configs = {}
    for combination in chosen:
        config = bundled_config(combination.model)
        assert config is not None
        configs[combination.model] = tiny(config) if arguments.tiny else config
    if arguments.tiny:
        chosen = [replace(combination, rows=2, rank=4, grid=(4, 4), text=20, labels=8) for combination in chosen]
    before = json.loads(arguments.repredict.read_text()) if arguments.repredict else {"rows": []}
    known = {row["title"]: row["measured"] for row in before["rows"]}
    with multiprocessing.get_context("fork").Pool(1 if arguments.tiny or arguments.repredict else 8) as pool:
        predicted = pool.starmap(
            _answer, [(predict, combination, configs[combination.model]) for combination in chosen], chunksize=1
        )
    rows = []
    for combination, prediction in zip(chosen, predicted, strict=True):
        row = {"title": combination.title, **asdict(combination)}
        row |= {"role": "held out" if combination.held_out else "fitted", "predicted": prediction}
        if combination.title in known:
            row["measured"] = known[combination.title]
        elif not arguments.predict and not arguments.repredict:
            row["measured"] = _measured(combination, configs[combination.model], arguments.tiny)
        row["errors"] = _errors(row)
        rows.append(row)
        print(json.dumps(row), file=sys.stderr, flush=True)
    machine = {key: value for key, value in before.items() if key != "rows"} or _machine(arguments)
    result = {"command": _command(), **machine, "errors": summary(rows), "rows": rows}
    if arguments.repredict:
        result |= {"predicted_with": _packages(), "repredicted": _command()}
    if arguments.packed:
        arms = [arm for file in arguments.packed for arm in json.loads(file.read_text())["arms"] if "failed" not in arm]
        result["packed"] = predict_packed(arms, GPU)
    text = json.dumps(result, indent=1)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


def _measured(combination: Combination, config: dict, on_cpu: bool) -> dict:
    return _in_its_own_process(measure, combination, config, "cpu" if on_cpu else "cuda")


def _errors(row: dict) -> dict[str, float]:
    """Predicted over measured on a GPU, less one: peak of allocated memory, of reserved memory, the median step's
    time."""
    measured, predicted = row.get("measured", {}), row["predicted"]
    times = measured.get("step_ms") if measured.get("allocated_gib") else None
    measured = {**measured, "step_ms": statistics.median(times) if times else None}
    names = {"allocated": "allocated_gib", "reserved": "reserved_gib", "step_time": "step_ms"}
    pairs = {short: (predicted.get(name), measured.get(name)) for short, name in names.items()}
    return {name: round(ours / theirs - 1, 4) for name, (ours, theirs) in pairs.items() if ours and theirs}


def summary(rows: list[dict]) -> dict[str, dict[str, dict[str, float]]]:
    """Mean and worst size of each error, of the fitted rows and of those held out."""
    sizes_by_role: dict[str, dict[str, dict[str, float]]] = {}
    for role in ("fitted", "held out"):
        errors = [row["errors"] for row in rows if row["role"] == role and row["errors"]]
        for name in sorted({name for error in errors for name in error}):
            sizes = [abs(error[name]) for error in errors if name in error]
            mean = round(statistics.mean(sizes), 4)
            sizes_by_role.setdefault(role, {})[name] = {"rows": len(sizes), "mean": mean, "worst": max(sizes)}
    return sizes_by_role


def _machine(arguments: argparse.Namespace) -> dict:
    without = arguments.tiny or arguments.predict
    return {
        "hardware": "CPU" if without else _in_its_own_process(_gpu_name, None, {}),
        "python": platform.python_version(),
        "packages": _packages(),
        "date": time.strftime("%Y-%m-%d"),
    }


def _packages() -> dict[str, str]:
    import accelerate
    import peft
    import transformers

    return {module.__name__: module.__version__ for module in (torch, transformers, peft, accelerate)}


def _gpu_name(*_) -> str:
    return torch.cuda.get_device_name()


if __name__ == "__main__":
    main()
