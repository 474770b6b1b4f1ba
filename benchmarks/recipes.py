"""Every shipped recipe by its own settings through the trainer of `texlens train`, and other settings beside them.

    python benchmarks/recipes.py --output benchmarks/results/recipes_h200_DATE.json
    python benchmarks/recipes.py --only S1 --only dropout      # rows whose names contain one of these, in this order
    python benchmarks/recipes.py --few-steps                   # kernel build, first step and peak, not the speed
    python benchmarks/recipes.py --stock                       # stock Trainer and PEFT modules beside each recipe
    python benchmarks/recipes.py --peaks                       # few steps of some rows: the plan beside the peaks
    python benchmarks/recipes.py --tiny                        # models of a few layers on a CPU

All rows run in one process, so that packages are imported and kernels built once: a random full-size model made on the
device, rows as in `fast_path_end_to_end.py`, adapter, optimizer and step size of the recipe, pack size and recompute on
`auto`. Reported are samples and tokens a second after the first steps (in which kernels are built and graphs
recorded), TFLOP/s with the share of the matrix rate measured in the same call, peak memory beside the plan, the seconds
from the model to a ready backend (kernels are built there) and to the first step, and the notes of the run. Work counts
4 x linear parameters and the experts that a token uses x tokens + 6 x adapter parameters x tokens + 4 x head x labels +
2 (frozen) or 4 (adapted) x vision parameters x patches, without padding. With `--stock` the same rows run by stock
Trainer and PEFT modules, recomputing everything as the recipes set it (`train.compute.backend: plain`). `--trace FILE`
records a few steps more of each row: how long the GPU is idle, and milliseconds a step by kernel.
"""

import argparse
import gc
import json
import os
import sys
import tempfile
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")  # as `texlens train` does

import fast_path_end_to_end as end_to_end
import torch
import yaml
from fast_path import by_kernel
from fast_path_rows import GIB, base_model, matrix_rate, settings_of, synchronize
from nf4_layers import quantize_in_nf4
from rich.console import Console
from transformers import TrainerCallback, set_seed
from transformers.utils import logging as transformers_logging

from texlens.adapters.build import build_adapter
from texlens.core.run_folder import RunFolder
from texlens.models.bundled import NANO_FOLDER
from texlens.models.checkpoint import read_config
from texlens.models.fp8 import quantize_in_fp8
from texlens.models.meta_model import meta_model, model_without_weights
from texlens.models.mixtures.load import fill_quantized
from texlens.models.packed.memory import (
    PATCHES_PER_TOKEN,
    peak_of_pack,
    static_bytes,
    vision_bytes_per_token,
)
from texlens.models.processor import load_tokenizer
from texlens.training.backends.choose import build_backend
from texlens.training.backends.unfused_memory import saved_besides
from texlens.training.build import TrainContext, build_trainer
from texlens.training.workers import plan_workers

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "src" / "texlens" / "recipes"
TEXT = ["text-attention", "text-mlp"]
LORA = {"kind": "lora", "rank": 16, "alpha": 16, "targets": TEXT}
MIXTURE = {"kind": "moe-lora", "experts": 2, "rank": 8, "alpha": 32, "targets": TEXT, "balance": 0.01}
RANK_128 = {"kind": "lora", "rank": 128, "alpha": 16, "targets": ["q_proj", "k_proj", "v_proj", "o_proj"]}
EXPERTS = {**LORA, "targets": ["text-attention"], "experts": {"mode": "lora", "rank": 8, "alpha": 16}}
SEEING = [*TEXT, "vision", "merger"]
B4, B7 = "Qwen3-VL-4B-Instruct", "Qwen2.5-VL-7B-Instruct"
B30, B35 = "Qwen3-VL-30B-A3B-Instruct", "Qwen3.5-35B-A3B"
OTHERS: dict[str, tuple[str, dict, int, dict]] = {
    "4B r 16, 56 rows": (B4, LORA, 56, {}),
    "4B r 16, 112 rows": (B4, LORA, 112, {}),
    "4B r 16 fp8, 112 rows": (B4, LORA, 112, {"base": {"quantize": "fp8", "quantize_vision": True}}),
    "4B r 16 fp8, 56 rows": (B4, LORA, 56, {"base": {"quantize": "fp8", "quantize_vision": True}}),
    "4B r 16 dropout 0.05, 56 rows": (B4, {**LORA, "dropout": 0.05}, 56, {}),
    "4B MoE-LoRA, 56 rows": (B4, MIXTURE, 56, {}),
    "4B r 16 DoRA, 56 rows": (B4, {**LORA, "dora": True}, 56, {}),
    "4B r 16 DoRA dropout 0.05, 24 rows": (B4, {**LORA, "dora": True, "dropout": 0.05}, 24, {}),
    "4B r 16 with vision and merger, 56 rows": (B4, {**LORA, "targets": SEEING}, 56, {}),
    "7B r 16 with vision, 8 rows": (B7, {**LORA, "targets": [*TEXT, "vision"]}, 8, {}),
    "30B-A3B r 16, 56 rows": (B30, {**LORA, "targets": ["text-attention"]}, 56, {"memory_gib": 100}),
    "30B-A3B experts r 8, 56 rows": (B30, EXPERTS, 56, {"memory_gib": 100}),
    "30B-A3B r 128, 64 rows": (B30, RANK_128, 64, {"memory_gib": 100}),
    "30B-A3B r 128 fp8, 8 rows": (B30, RANK_128, 8, {"base": {"quantize": "fp8"}, "memory_gib": 60}),
    "30B-A3B r 128 NF4, 8 rows": (B30, RANK_128, 8, {"base": {"quantize": "nf4"}, "memory_gib": 21}),
    "35B-A3B experts r 8, 56 rows": (B35, EXPERTS, 56, {"memory_gib": 110}),
    "35B-A3B experts r 8 fp8, 56 rows": (B35, EXPERTS, 56, {"base": {"quantize": "fp8"}, "memory_gib": 100}),
}
"""Model, adapter, rows of a step and other settings."""
TRACED = 3
"""Steps whose kernels are recorded."""
MAX_KERNELS = 50
PEAKS = (
    "qwen2-vl-2b_latex-ocr_lora",
    "qwen3-vl-8b_latex-ocr_lora",
    "qwen3-vl-4b_coco-caption_moe-lora",
    "qwen2.5-vl-7b_latex-ocr_qlora",
    "4B r 16 fp8, 56 rows",
    "4B r 16 DoRA, 56 rows",
    "4B r 16 with vision and merger, 56 rows",
    "30B-A3B r 128 fp8, 8 rows",
    "30B-A3B r 128 NF4, 8 rows",
)
"""Rows of every adapter kind, base and most families; no constant of the plan is fitted to them."""
CARRIED = ("batch_size", "gradient_accumulation", "optimizer")
SMALL = 16
"""Steps of at most so many rows run often enough for most shapes of their packs to occur before time is taken."""


def rows() -> dict[str, dict[str, Any]]:
    """Name to model, settings by branch and rows of a step."""
    table: dict[str, dict[str, Any]] = {}
    for file in sorted(RECIPES.glob("qwen*.yaml")):
        recipe = yaml.safe_load(file.read_text())
        train = {key: recipe["train"][key] for key in CARRIED if key in recipe["train"]}
        count = train.get("batch_size", 1) * train.get("gradient_accumulation", 1)
        values = {"adapter": recipe["adapter"], "train": train}
        if "quantize" in recipe.get("base", {}):
            values["base"] = recipe["base"]
        table[file.stem] = {"model": recipe["model"]["path"].split("/")[-1], "values": values, "rows": count}
    for name, (model, adapter, count, more) in OTHERS.items():
        train = {"batch_size": count}
        if "memory_gib" in more:
            train["compute"] = {"memory_gib": more["memory_gib"]}
        values = {"adapter": adapter, "train": train, **{key: more[key] for key in ("base",) if key in more}}
        table[name] = {"model": model, "values": values, "rows": count}
    return table


def main() -> None:
    options = _options()
    transformers_logging.set_verbosity_error()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    began = time.monotonic()
    drawn = tempfile.TemporaryDirectory()
    data = {patch: Path(drawn.name) / f"patch-{patch}" for patch in (14, 16)}
    for patch, folder in data.items():  # before there is a CUDA context: its processes are slow to fork
        end_to_end.write_rows(folder, 16 if options.tiny else 784, patch, load_tokenizer(NANO_FOLDER))
    report: dict[str, Any] = {
        "command": f"python benchmarks/recipes.py {' '.join(sys.argv[1:])}".strip(),
        "date": datetime.now(UTC).date().isoformat(),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "matrix_tflops": round(matrix_rate(device, options.tiny), 3),
        "rows": {},
    }
    chosen = _chosen(options)
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, row) in enumerate(chosen.items()):
            for stock in (False, True) if options.stock else (False,):
                title = f"{name}, stock" if stock else name
                if time.monotonic() - began > options.budget_s:
                    report["rows"][title] = {"failed": "no time was left"}
                    continue
                row_folder = Path(folder) / f"{number}-{'stock' if stock else 'texlens'}"
                row["data"] = data[settings_of(row["model"], False)["vision_config"].get("patch_size", 14)]
                report["rows"][title] = measured(
                    title, row, row_folder, device, options, report["matrix_tflops"], stock
                )
                if options.output:
                    Path(options.output).write_text(json.dumps(report, indent=1) + "\n")
    print(table_of(report["rows"]))


def _chosen(options) -> dict[str, dict]:
    """The rows in the order in which `--only` names them; a part that ends with `$` is a whole name."""
    table = {name: row for name, row in rows().items() if not options.peaks or name in PEAKS}
    parts = options.only or [""]
    names = [name for part in parts for name in table if part in name or part == f"{name}$"]
    return {name: table[name] for name in dict.fromkeys(names)}


def measured(name: str, row: dict, folder: Path, device, options, matrix_tflops: float, stock: bool) -> dict:
    """The figures of a row, or why it failed: the others run all the same."""
    began = time.monotonic()
    try:
        result = run(name, row, folder, device, options, matrix_tflops, stock)
    except Exception as error:  # noqa: BLE001
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "texlens" in frame.filename]
        where = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames[-4:][::-1])
        result = {"failed": f"{type(error).__name__}: {' '.join(str(error).split())[:300]} ({where})"}
        traceback.print_exc()
        traceback.clear_frames(error.__traceback__)
    freeing = time.monotonic()
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    result["freed_s"] = round(time.monotonic() - freeing, 1)
    result["row_s"] = round(time.monotonic() - began, 1)
    print(f"{name}: {json.dumps(result)}", flush=True)
    return result


def run(name: str, row: dict, folder: Path, device, options, matrix_tflops: float, stock: bool) -> dict:
    folder.mkdir()
    steps, warm = _steps(row["rows"], stock, options)
    traced = TRACED if options.trace and device.type == "cuda" else 0
    row = {**row, "rows": min(row["rows"], 4)} if options.tiny else row
    train = {**row["values"]["train"], "steps": steps + traced, "checkpoints": {"every_steps": 100_000}}
    if options.tiny:
        train |= {"batch_size": row["rows"], "gradient_accumulation": 1}
    if stock:
        train["compute"] = {"backend": "plain", "gradient_checkpointing": True}
    settings = SimpleNamespace(
        model=row["model"], rows=row["rows"], steps=steps + traced, set=[], check_sync=False, tiny=options.tiny,
        values={**row["values"], "train": train}, data=row["data"],
    )  # fmt: skip
    started = time.perf_counter()
    config, console = end_to_end.prepare_folder(folder, settings), Console(stderr=True)
    prepared = end_to_end.prepare(config, console)
    reset_peak(device)
    began = time.perf_counter()
    prepared_s = began - started
    model = random_base(prepared, config, device)
    synchronize(device)
    base_s = time.perf_counter() - began
    adapted = build_adapter(model, prepared.plan, config.adapter, seed=0, base_path=config.model.path)
    adapter_s = time.perf_counter() - began - base_s
    backend = build_backend(config, adapted, prepared.base.processor)
    synchronize(device)
    backend_s = time.perf_counter() - began - base_s - adapter_s
    workers = plan_workers(backend, config, prepared.base.processor.geometry, prepared.splits.train)
    run_folder = RunFolder.create(folder, "run")
    trainer, _ = build_trainer(TrainContext(config, prepared, run_folder, console), adapted, backend, workers.count)
    recordings = Recordings(getattr(backend, "graphs", None))
    clock = Clock(trainer, warm, steps, device, recordings)
    trainer.add_callback(clock)
    if traced:
        trainer.add_callback(tracer := Tracer(steps))
    set_seed(0)
    trainer.train()
    trained_s = time.perf_counter() - began - base_s - adapter_s - backend_s
    counting = time.perf_counter()
    history = [entry for entry in trainer.state.log_history if "loss" in entry]
    if traced:
        with Path(options.trace).open("a") as file:
            file.write(f"{name}: {tracer.by_kernel()}\n")
    work = clock.flops(operations(read_config(prepared.base.folder), adapted)) / clock.spent / 1e12
    planned = planned_gib(config, backend, model, clock.largest)
    peak = torch.cuda.max_memory_allocated() / GIB if device.type == "cuda" else None
    return {
        "rows": row["rows"],
        "steps": steps - warm,
        "samples_per_s": round(row["rows"] * (steps - warm) / clock.spent, 1),
        "tokens_per_s": round(clock.tokens / clock.spent) if clock.tokens else None,
        "tflops": round(work, 1) if work else None,
        "share_of_matrix_rate": round(work / matrix_tflops, 3) if work else None,
        "peak_gib": peak and round(peak, 2),
        "reserved_gib": round(torch.cuda.max_memory_reserved() / GIB, 2) if device.type == "cuda" else None,
        "planned_gib": planned,
        "plan_error": round(planned / peak - 1, 4) if planned and peak else None,
        "prepared_s": round(prepared_s, 1),
        "base_s": round(base_s, 1),
        "adapter_s": round(adapter_s, 1),
        "backend_s": round(backend_s, 1),
        "first_step_s": round(clock.first_s, 1),
        "trained_s": round(trained_s, 1),
        "backend": {**backend.settings, "notes": list(backend.notes)},
        "counted_s": round(time.perf_counter() - counting, 1),
        "loss": [round(history[0]["loss"], 4), round(history[-1]["loss"], 4)] if history else None,
        "graphs": len(getattr(backend, "graphs", None) or ()),
        "graphs_in_timed_steps": clock.recorded[1] - clock.recorded[0],
        "recording_s": [round(second, 3) for second in recordings.seconds],
    }


def _steps(count: int, stock: bool, options) -> tuple[int, int]:
    """Steps, and those before time is taken."""
    if options.tiny:
        return 3, 1
    if options.peaks or options.few_steps:
        return (30, 20) if count <= SMALL else (8, 4)
    if stock:
        return 6, 2
    return (options.warm + 30, options.warm) if count <= SMALL else (14, 4)


def random_base(prepared, config, device):
    """As `texlens train` holds the base: in 16 bits, fp8 or NF4; quantized mixtures are never whole in 16 bits."""
    settings = read_config(prepared.base.folder)
    if config.base.quantize != "none" and prepared.base.processor.family.expert_parameters:
        return quantized_mixture(settings, config.base, device)
    model = base_model(settings, device)
    if config.base.quantize == "fp8":
        quantize_in_fp8(model, vision=config.base.quantize_vision)
    elif config.base.quantize == "nf4":
        quantize_in_nf4(model)
    return model


def quantized_mixture(settings: dict, quantize, device):
    """A mixture in fp8 or NF4 with random weights, made layer by layer as a checkpoint is loaded."""
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    model = model_without_weights(settings, dtype=dtype)
    parameters = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    torch.manual_seed(0)

    def drawn(name: str, rows: slice) -> torch.Tensor:
        if name.endswith("norm.weight") or (".norm" in name and name.endswith(".weight")):
            return torch.ones(parameters[name], dtype=dtype, device=device)
        if name.endswith(".bias"):
            return torch.zeros(parameters[name], dtype=dtype, device=device)
        return torch.empty(parameters[name], dtype=dtype, device=device).normal_(std=0.02)

    return fill_quantized(model, drawn, quantize, device)


def operations(settings: dict, adapted) -> dict[str, int]:
    """Of a training step by token, label and patch."""
    model = meta_model(settings)
    text, vision = model.model.language_model, model.model.visual
    linear = sum(part.weight.numel() for part in text.layers.modules() if isinstance(part, torch.nn.Linear))
    for module in text.layers.modules():
        if hasattr(module, "gate_up_proj") and isinstance(module.gate_up_proj, torch.nn.Parameter):
            share = model.config.text_config.num_experts_per_tok / len(module.gate_up_proj)
            linear += round(share * (module.gate_up_proj.numel() + module.down_proj.numel()))
    trained = {name: part for name, part in adapted.named_parameters() if part.requires_grad}
    by_tower = [".visual." in name for name in trained]
    experts = {name for name in trained if ".experts." in name}
    used = model.config.text_config.num_experts_per_tok / model.config.text_config.num_experts if experts else 1
    counts = [part.numel() * (used if name in experts else 1) for name, part in trained.items()]
    of_text, of_tower = (
        sum(c for c, tower in zip(counts, by_tower, strict=True) if tower is side) for side in (False, True)
    )
    seeing = sum(parameter.numel() for parameter in vision.blocks.parameters())
    return {
        "token": 4 * linear + round(6 * of_text),
        "label": 4 * model.lm_head.weight.numel(),
        "patch": (4 if any(by_tower) else 2) * seeing + round(6 * of_tower),
    }


class Recordings:
    """Seconds that each CUDA graph takes the host to record."""

    def __init__(self, graphs: Any):
        self.seconds: list[float] = []
        if graphs is not None:
            self._record, graphs._record = graphs._record, self

    def __call__(self, work):
        began = time.perf_counter()
        result = self._record(work)
        self.seconds.append(time.perf_counter() - began)
        return result


class Clock(TrainerCallback):
    """Times the steps after the first `warm`, and counts their tokens, labels and patches, and graphs recorded before
    and until their end."""

    def __init__(self, trainer, warm: int, last: int, device, recordings: Recordings):
        self.recordings, self.recorded = recordings, [0, 0]
        self.warm, self.last, self.device = warm, last, device
        self.counts: list[tuple[int, ...]] = []
        self.largest = (0, 0, 0)
        take = trainer.get_batch_samples

        def taken(*arguments):
            batches, count = take(*arguments)
            packs = [pack for batch in batches for pack in batch.get("packs", ())]
            names = "tokens", "label_count", "patch_count"
            sizes = [(len(pack["ids"]), len(pack["labels"]), pack.get("patch_count", 0)) for pack in packs]
            self.largest = max([self.largest, *sizes])
            self.counts.append(tuple(sum(pack.get(name, 0) for pack in packs) for name in names))
            return batches, count

        trainer.get_batch_samples = taken

    def on_train_begin(self, args, state, control, **kwargs):
        self.began = time.perf_counter()

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step not in (1, self.warm, self.last):
            return
        synchronize(self.device)
        now = time.perf_counter()
        if state.global_step == 1:
            self.first_s = now - self.began
        if state.global_step == self.warm:
            self.start = now
            self.recorded[0] = len(self.recordings.seconds)
        if state.global_step == self.last:
            self.spent = now - self.start
            self.recorded[1] = len(self.recordings.seconds)

    @property
    def tokens(self) -> int:
        return sum(count[0] for count in self.counts[self.warm : self.last])

    def flops(self, by: dict[str, int]) -> int:
        sums = [sum(kind) for kind in zip(*self.counts[self.warm : self.last], strict=True)]
        return sum(count * by[name] for count, name in zip(sums, ("token", "label", "patch"), strict=True))


class Tracer(TrainerCallback):
    """Records the GPU's work of the steps after `last`."""

    def __init__(self, last: int):
        self.last = last
        self.profiler = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA])

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.last:
            self.profiler.start()
        if state.global_step == self.last + TRACED:
            torch.cuda.synchronize()
            self.profiler.stop()

    def by_kernel(self) -> str:
        with tempfile.TemporaryDirectory() as folder:
            raw = Path(folder, "trace.json")
            self.profiler.export_chrome_trace(str(raw))
            lines = by_kernel(json.loads(raw.read_text())["traceEvents"], TRACED).splitlines()
        return "\n".join(lines[:MAX_KERNELS])


def planned_gib(config, backend, model, largest: tuple[int, int, int]) -> float | None:
    """See `planned_bytes`; None for a backend without packs."""
    return round(planned_bytes(config, backend, model, largest) / GIB, 2) if "recompute" in backend.settings else None


def planned_bytes(config, backend, model, largest: tuple[int, int, int]) -> float:
    """What the plan counts for the largest pack that was run, by its tokens, labels and patches."""
    settings = backend.settings
    tokens, labels, patches = largest
    parameter = next(model.model.language_model.parameters())
    options = {"loss_chunk": settings["loss_chunk"], "on_cpu": parameter.device.type == "cpu"}
    size = max(parameter.itemsize, 2)
    text = peak_of_pack(model.config.text_config, settings["recompute"], tokens, labels, size, **options)
    text += saved_besides(model)[settings["recompute"]] * tokens
    static = static_bytes(model, optimizer=config.train.optimizer.name)
    return static + text + vision_bytes_per_token(model) * patches / PATCHES_PER_TOKEN


def reset_peak(device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()


def table_of(report: dict[str, dict]) -> str:
    columns = ("samples_per_s", "tokens_per_s", "tflops", "share_of_matrix_rate", "peak_gib", "planned_gib")
    columns += ("plan_error", "backend_s", "first_step_s", "row_s")
    lines = [f"{'row':44} " + " ".join(f"{column[:11]:>11}" for column in columns) + "  notes"]
    for name, row in report.items():
        if "failed" in row:
            lines.append(f"{name:44} failed: {row['failed']}")
            continue
        figures = " ".join(f"{row.get(column) or '':>11}" for column in columns)
        lines.append(f"{name:44} {figures}  graphs {row['graphs']}; {'; '.join(row['backend']['notes'])}")
    return "\n".join(lines)


def _options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], metavar="PART", help="rows whose names contain it")
    parser.add_argument("--peaks", action="store_true", help="some rows, few steps: the plan beside the peaks")
    parser.add_argument("--warm", type=int, default=70, help="steps of small rows before time is taken")
    parser.add_argument("--few-steps", action="store_true", help="as few steps as --peaks, of the rows chosen")
    parser.add_argument("--stock", action="store_true", help="stock Trainer and PEFT modules beside each row")
    parser.add_argument("--budget-s", type=int, default=3600, help="after which no row is begun")
    parser.add_argument("--output")
    parser.add_argument("--trace", metavar="FILE", help="add the kernels of some steps of each row to it")
    parser.add_argument("--tiny", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
