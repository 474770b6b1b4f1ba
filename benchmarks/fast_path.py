"""The packed engine's training step on full-size models with random weights, on a GPU.

    python benchmarks/fast_path.py --output benchmarks/results/fast-path_h200_DATE.json [--model Qwen3-VL-4B-Instruct]
    python benchmarks/fast_path.py --model Qwen2.5-VL-3B-Instruct --arm "bf16, 16k tokens" --trace step.txt
    python benchmarks/fast_path.py --tiny               # a model of a few layers of the same family, on the CPU

LoRA r=16 on the seven text projections, vision frozen, fused AdamW, gradient clipping; samples of 60-300 image tokens
and 30-200 answer tokens (286 a sample on average), the same as the peers' (`fast_path_rows.py`, where the arithmetic
stands too). Model time only: packs are laid beforehand. `side_by_side.py` runs these arms beside the peers'.
"""

import argparse
import collections
import dataclasses
import gc
import json
import math
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from fast_path_rows import (
    GIB,
    IMAGE,
    PAD,
    RANK,
    Work,
    base_model,
    gate,
    made_examples,
    matrix_rate,
    settings_of,
    text_projections,
    work_of,
)
from nf4_layers import quantize_in_nf4
from peft import LoraConfig, get_peft_model

from texlens.data.geometry import ImageGeometry
from texlens.inputs.example import Example
from texlens.inputs.pack import PackSpec, build_pack
from texlens.inputs.packed_collator import PackCollator
from texlens.kernels.loss.chunked import CHUNK
from texlens.models.families import family_of
from texlens.models.fp8 import quantize_in_fp8
from texlens.models.packed.forward import packed_forward
from texlens.models.packed.memory import PackOptions, choose_pack, smallest_pack, static_bytes

TOWER_TOO = "fp8 with its tower"


@dataclasses.dataclass(frozen=True)
class Arm:
    name: str
    rows: int = 56
    budget: int = 18_432
    recompute: str = "none"
    backend: str = "triton"
    fused: bool = True
    base: str = "bf16"
    """How the frozen weights are held: bf16, or fp8 or nf4 as `base.quantize` holds them; `TOWER_TOO` with
    `base.quantize_vision`."""
    cached: bool = False
    """Images come as features of the frozen tower (`train.cache_features`), copied from the host in the step."""
    memory_gib: float | None = None
    """Packs, recomputation and chunks of the loss are those that `train.memory_gib` chooses; packs wait on the host."""
    loss_chunk: int = CHUNK


ARMS = (
    Arm("bf16, 16k tokens"),
    Arm("bf16, 16k tokens, features kept", cached=True),
    Arm("bf16, 32k tokens", rows=112, budget=36_864),
    Arm("bf16, 40k tokens", rows=140, budget=46_080),
    Arm("bf16, 8k tokens", rows=28, budget=9_216),
    Arm("bf16, 16k tokens, MLP recomputed", recompute="mlp"),
    Arm("bf16, 16k tokens, layers recomputed", recompute="full"),
    Arm("bf16, 16k tokens, reference", backend="reference"),
    Arm("bf16, 16k tokens, module by module", fused=False, backend="reference"),
    Arm("fp8 base, 16k tokens", base="fp8"),
    Arm("fp8 base, 32k tokens", rows=112, budget=36_864, base="fp8"),
    Arm("fp8 with its tower, 16k tokens", base=TOWER_TOO),
    Arm("fp8 with its tower, 32k tokens", rows=112, budget=36_864, base=TOWER_TOO),
    Arm("fp8 with its tower, 40k tokens", rows=140, budget=46_080, base=TOWER_TOO),
    Arm("bf16, lean", memory_gib=9.6),
    Arm("NF4, lean", base="nf4", memory_gib=4.6),
)


def main() -> None:
    os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")  # as `texlens train` does
    options = _options()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    settings = settings_of(options.model, options.tiny)
    gate("ready", options.gated)
    report = {
        "model": options.model,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else platform.machine(),
        "torch": torch.__version__,
        "matrix_tflops": round(matrix_rate(device, options.tiny), 4),
        "arms": [],
    }
    arms = [arm for arm in ARMS if options.only is None or options.only in arm.name]
    if options.arm:
        arms = [arm for arm in arms if arm.name == options.arm]
    if not arms:
        raise SystemExit("--only, --arm: no arm of this name")
    options.first = arms[0].name
    model, base = None, ""
    for arm in arms:
        began = time.monotonic()
        try:
            if arm.base != base:
                model = None
                released()
                model, base = build(settings, device, arm.base), arm.base
            result = run(arm, model, settings, options, device, report["matrix_tflops"])
        except Exception as error:  # noqa: BLE001  one arm's failure is reported and the others still run
            result = {"failed": f"{type(error).__name__}: {' '.join(str(error).split())[:1500]}"}
        if device.type == "cuda":
            torch.cuda.empty_cache()
        report["arms"].append({"arm": arm.name, **result, "seconds_in_all": round(time.monotonic() - began, 1)})
        print(json.dumps(report["arms"][-1]), flush=True)
        if options.output:
            Path(options.output).write_text(json.dumps(report, indent=1) + "\n")


def build(settings: dict, device, base: str = "bf16"):
    """The model with its adapters."""
    config = LoraConfig(r=RANK, lora_alpha=RANK, target_modules=text_projections(settings), task_type="CAUSAL_LM")
    model = base_model(settings, device)
    if base in ("fp8", TOWER_TOO):
        skipped = quantize_in_fp8(model, vision=base == TOWER_TOO)
        if skipped and base == "fp8":
            raise SystemExit(f"{skipped[0]} can't be held in fp8")
    if base == "nf4":
        quantize_in_nf4(model)
    return get_peft_model(model, config).train()


def released() -> None:
    """Gives back the memory of a model that is no longer named."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def run(arm: Arm, adapted, settings: dict, options, device, matrix_tflops: float) -> dict:
    family = family_of(settings)
    geometry = ImageGeometry(family.patch_size, mean=family.mean, std=family.std)
    model = adapted.base_model.model
    if arm.memory_gib:
        arm = within_memory(arm, model, arm.memory_gib, options.tiny)
    trained = [parameter for parameter in adapted.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=True)
    backend = "cpu" if arm.backend == "triton" and device.type == "cpu" else arm.backend
    forward = packed_forward(
        model, geometry, recompute=arm.recompute, fused=arm.fused, backend=backend, loss_chunk=arm.loss_chunk
    )
    rows = 4 if options.tiny else arm.rows
    kept_by = forward if arm.cached else None
    waits_on = torch.device("cpu") if arm.memory_gib else device
    batches = packs_of(rows, arm.budget, options, model.config, geometry, arm.backend != "plain", waits_on, kept_by)
    if waits_on != device:
        batches = [pinned(batch) for batch in batches]
    synchronize = torch.cuda.synchronize if device.type == "cuda" else lambda: None

    def step(batch) -> torch.Tensor:
        losses = []
        for number, pack in enumerate(batch["packs"]):
            if arm.cached:
                pack = {**pack, "cached_features": pack["cached_features"].to(device, non_blocking=True)}
            if arm.memory_gib:
                pack = pack_on(device, pack)
            loss = forward.loss(pack, adapters_unchanged=number > 0) / batch["label_count"]
            loss.backward()
            losses.append(loss.detach())
        norm = torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return torch.stack([torch.stack(losses).sum(), norm])

    began = time.monotonic()
    print_progress("packs on the device, first step")
    step(batches[0])
    synchronize()
    compiling = time.monotonic() - began
    print_progress(f"first step after {compiling:.1f} s")
    for batch in batches[1:4]:
        step(batch)
    synchronize()
    gate("warm", options.gated)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    times, outcomes = [], []
    timed = batches[4:]
    whole = time.perf_counter()
    for batch in timed:
        began = time.perf_counter()
        outcomes.append(step(batch))
        if options.each:
            synchronize()
            times.append(time.perf_counter() - began)
    issued = time.perf_counter() - whole
    synchronize()
    spent = time.perf_counter() - whole
    tokens = sum(pack["tokens"] for batch in timed for pack in batch["packs"])
    work = work_of(settings)
    spent_flops = sum(flops(batch, work) for batch in timed)
    print_progress(f"{rows * len(timed) / spent:.2f} samples a second")
    peak = torch.cuda.max_memory_allocated() / GIB if device.type == "cuda" else math.nan
    reserved = torch.cuda.max_memory_reserved() / GIB if device.type == "cuda" else math.nan
    losses = torch.stack(outcomes).tolist()
    if options.trace and arm.name == options.first:
        trace(step, batches[-1], options.trace)
    return {
        **dataclasses.asdict(arm),
        "passes": backend,
        "rows": rows,
        "samples_per_s": round(rows * len(timed) / spent, 2),
        "tokens_per_s": round(tokens / spent),
        "tflops": round(spent_flops / spent / 1e12, 1),
        "share_of_matrix_rate": round(spent_flops / spent / 1e12 / matrix_tflops, 3),
        "peak_gib": round(peak, 2),
        "reserved_gib": round(reserved, 2),
        "first_step_s": round(compiling, 1),
        "host_share": round(issued / spent, 3),
        "median_step_s": round(statistics.median(times), 4) if times else None,
        "loss": [round(losses[0][0], 4), round(losses[-1][0], 4)],
        "gradient_norm": round(losses[-1][1], 5),
        "unfused": sorted(set(forward.text.unfused.values())),
    }


def print_progress(text: str) -> None:
    """On the standard error, at once."""
    print(text, file=sys.stderr, flush=True)


def within_memory(arm: Arm, model, memory_gib: float, tiny: bool) -> Arm:
    """The arm with the packs that the engine chooses in so much memory; `tiny`, to which all is plenty, takes the
    least."""
    text_config, options = model.config.text_config, PackOptions()
    choice = None if tiny else choose_pack(text_config, memory_gib * GIB - static_bytes(model), options)
    choice = choice or smallest_pack(text_config, options)
    return dataclasses.replace(arm, budget=choice.tokens, recompute=choice.recompute, loss_chunk=choice.loss_chunk)


def packs_of(rows: int, budget: int, options, config, geometry, padded: bool, device, kept_by=None) -> list[dict]:
    vision = config.vision_config
    window = getattr(vision, "window_size", None)
    table = getattr(vision, "num_position_embeddings", None)
    layout = PackSpec(
        IMAGE,
        PAD,
        window=window // geometry.factor if window and hasattr(vision, "fullatt_block_indexes") else None,
        table_side=int(table**0.5) if table else None,
        token_multiple=128 if padded else 1,
        patch_multiple=128 if padded else 4,
    )
    collate = PackCollator(layout, budget)
    steps = 3 if options.tiny else options.steps
    examples = made_examples(rows * (steps + 4), geometry.patch_size)
    if kept_by is not None:
        parts = (examples[start : start + rows] for start in range(0, len(examples), rows))
        examples = [example for part in parts for example in with_features(part, kept_by, layout, device)]
    return [on(device, collate(examples[start : start + rows])) for start in range(0, len(examples), rows)]


def on(device, batch: dict) -> dict:
    return {**batch, "packs": [pack_on(device, pack) for pack in batch["packs"]]}


def pack_on(device, pack: dict) -> dict:
    """The pack on the device, but for kept features, which stay on the host as they do in training."""
    move = lambda value: value.to(device, non_blocking=True) if isinstance(value, torch.Tensor) else value  # noqa: E731
    moved = {name: move(value) for name, value in pack.items() if name != "cached_features"}
    if "cached_features" in pack:
        moved["cached_features"] = (
            pack["cached_features"].pin_memory() if device.type == "cuda" else pack["cached_features"]
        )
    return moved


def pinned(batch: dict) -> dict:
    """The batch in memory from which a GPU copies without the host waiting."""
    pin = lambda value: value.pin_memory() if isinstance(value, torch.Tensor) else value  # noqa: E731
    return {**batch, "packs": [{name: pin(value) for name, value in pack.items()} for pack in batch["packs"]]}


def with_features(examples: list[Example], forward, layout: PackSpec, device) -> list[Example]:
    """The examples with the tower's features in place of their patches."""
    pack = build_pack([dataclasses.replace(example, keys=(example.sample_id,)) for example in examples], layout)
    with torch.no_grad():
        features = torch.stack(forward.image_features(pack_on(device, pack))).cpu()
    bounds = {key: (start, end) for key, start, end in pack["new_images"]}
    return [
        dataclasses.replace(example, patches=None, features=(features[:, slice(*bounds[example.sample_id])],))
        for example in examples
    ]


def flops(batch: dict, work: Work) -> int:
    tokens = sum(pack["tokens"] for pack in batch["packs"])
    patches = sum(pack.get("patch_count", 0) for pack in batch["packs"])
    return work.flops(tokens, batch["label_count"], patches)


TRACED = 3
"""Steps in a row: the first alone runs on a cooler GPU, whose products are faster."""


def trace(step, batch, path: str) -> None:
    """Writes what a GPU does in `TRACED` steps in a row: how long it is idle, and milliseconds a step by kernel.

    On a CPU the operations of one step.
    """
    from torch.profiler import ProfilerActivity, profile

    on_gpu = torch.cuda.is_available()
    with profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as profiler:
        for _ in range(TRACED if on_gpu else 1):
            step(batch)
        if on_gpu:
            torch.cuda.synchronize()
    if not on_gpu:
        table = profiler.key_averages().table(sort_by="self_cpu_time_total", row_limit=60, max_name_column_width=90)
        Path(path).write_text(table)
        return
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder, "trace.json")
        profiler.export_chrome_trace(str(raw))
        Path(path).write_text(by_kernel(json.loads(raw.read_text())["traceEvents"], TRACED))


def by_kernel(events: list[dict], steps: int) -> str:
    """The lines of a trace: microseconds of a profiler's `events`, summed up a step."""
    work = sorted((event for event in events if event.get("cat") in GPU_WORK), key=lambda event: event["ts"])
    start = end = work[0]["ts"]
    idle, spent = 0.0, collections.defaultdict(list)
    for event in work:
        idle += max(0.0, event["ts"] - end)
        end = max(end, event["ts"] + event["dur"])
        spent[event["name"][:80]].append(event["dur"])
    lines = [f"a step {(end - start) / steps / 1e3:.1f} ms, of it idle {idle / steps / 1e3:.1f} ms"]
    for name, times in sorted(spent.items(), key=lambda pair: -sum(pair[1])):
        lines.append(f"{sum(times) / steps / 1e3:9.3f} ms {len(times) / steps:7.1f} x {name}")
    return "\n".join(lines) + "\n"


GPU_WORK = ("kernel", "gpu_memcpy", "gpu_memset")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="Qwen3-VL-4B-Instruct")
    parser.add_argument("--output")
    parser.add_argument("--only", help="arms whose name has this in it")
    parser.add_argument("--arm", help="the arm of this name alone")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--each", action="store_true", help="wait after each step and report the median")
    parser.add_argument("--trace", help="write steps of the first arm that is run, kernel by kernel, here")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--gated", action="store_true", help="wait for a line before the GPU is used and before timing")
    return parser.parse_args()


if __name__ == "__main__":
    main()
