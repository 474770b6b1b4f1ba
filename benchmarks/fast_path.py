"""The packed engine's training step on full-size models with random weights, on a GPU.

    python benchmarks/fast_path.py --output benchmarks/results/fast-path_h200_DATE.json [--model Qwen3-VL-4B-Instruct]
    python benchmarks/fast_path.py --tiny               # a model of a few layers, on the CPU

LoRA r=16 on the seven text projections, vision frozen, fused AdamW, gradient clipping; samples of 60-300 image tokens
and 30-200 answer tokens (286 a sample on average), drawn as in the peers' benchmark. Model time only: packs are laid
beforehand. Work is counted by 4 x linear parameters x tokens + 4 x head x label tokens + 2 x vision parameters x
patches, of real tokens alone; the matrix rate is measured in the same process.
"""

import argparse
import dataclasses
import json
import math
import platform
import random
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, get_peft_model

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from texlens.data.example import IGNORED, Example
from texlens.data.geometry import ImageGeometry
from texlens.data.pack import PackLayout, lay
from texlens.data.packing import PackCollator
from texlens.models.families import family_of
from texlens.models.load import random_model
from texlens.models.packed.forward import packed_forward
from texlens.models.shipped import shipped_config

IMAGE, PAD, START, END = 151655, 151643, 151652, 151653
GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Arm:
    name: str
    rows: int = 56
    budget: int = 18_432
    recompute: str = "none"
    passes: str = "compiled"
    fused: bool = True
    cached: bool = False
    """Images come as features of the frozen tower (`train.cache_features`), copied from the host in the step."""


ARMS = (
    Arm("bf16, 16k tokens"),
    Arm("bf16, 16k tokens, features kept", cached=True),
    Arm("bf16, 16k tokens, Triton", passes="triton"),
    Arm("bf16, 32k tokens, Triton", rows=112, budget=36_864, passes="triton"),
    Arm("bf16, 8k tokens", rows=28, budget=9_216),
    Arm("bf16, 16k tokens, MLP made again", recompute="mlp"),
    Arm("bf16, 16k tokens, layers made again", recompute="full"),
    Arm("bf16, 16k tokens, not compiled", passes="plain"),
    Arm("bf16, 16k tokens, module by module", fused=False, passes="plain"),
)


def main() -> None:
    options = _options()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model, config = build(options, device)
    report = {
        "model": options.model,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else platform.machine(),
        "torch": torch.__version__,
        "matrix_tflops": round(matrix_rate(device, options.tiny), 4),
        "arms": [],
    }
    arms = [arm for arm in ARMS if options.only is None or options.only in arm.name]
    for arm in arms:
        began = time.monotonic()
        try:
            found = run(arm, model, config, options, device, report["matrix_tflops"])
        except Exception as error:  # noqa: BLE001  one arm's failure is told and the others still run
            found = {"failed": f"{type(error).__name__}: {' '.join(str(error).split())[:1500]}"}
        report["arms"].append({"arm": arm.name, **found, "seconds_in_all": round(time.monotonic() - began, 1)})
        print(json.dumps(report["arms"][-1]), flush=True)
        if options.output:
            Path(options.output).write_text(json.dumps(report, indent=1) + "\n")


def build(options, device):
    """The model with its adapters, and its config as transformers has it."""
    settings = shipped_config(f"Qwen/{options.model}")
    if options.tiny:
        settings["text_config"] |= {"num_hidden_layers": 2, "hidden_size": 64, "intermediate_size": 96, "head_dim": 32}
        settings["text_config"] |= {"num_attention_heads": 4, "num_key_value_heads": 2}
        settings["vision_config"] |= {"depth": 2, "hidden_size": 32, "num_heads": 2, "out_hidden_size": 64}
        settings["vision_config"] |= {"intermediate_size": 48, "deepstack_visual_indexes": [0]}
        settings["text_config"]["rope_scaling"] = {"mrope_interleaved": True, "mrope_section": [6, 5, 5]}
    torch.manual_seed(0)
    with torch.device(device):
        model = random_model(settings, dtype=torch.float32 if device.type == "cpu" else torch.bfloat16)
    groups = family_of(settings).groups
    pattern = f"{groups['text-attention']}|{groups['text-mlp']}"
    adapted = get_peft_model(model, LoraConfig(r=16, lora_alpha=16, target_modules=pattern, task_type="CAUSAL_LM"))
    return adapted.train(), settings


def run(arm: Arm, adapted, settings: dict, options, device, matrix_tflops: float) -> dict:
    family = family_of(settings)
    geometry = ImageGeometry(family.patch_size, mean=family.mean, std=family.std)
    model = adapted.base_model.model
    trained = [parameter for parameter in adapted.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=True)
    forward = packed_forward(model, geometry, recompute=arm.recompute, fused=arm.fused, passes=arm.passes)
    rows = 4 if options.tiny else arm.rows
    kept_by = forward if arm.cached else None
    batches = packs_of(rows, arm.budget, options, model.config, geometry, arm.passes != "plain", device, kept_by)
    synchronise = torch.cuda.synchronize if device.type == "cuda" else lambda: None

    def step(batch) -> torch.Tensor:
        losses = []
        for pack in batch["packs"]:
            if arm.cached:
                pack = {**pack, "stored": pack["stored"].to(device, non_blocking=True)}
            loss = forward.loss(pack) / batch["label_count"]
            loss.backward()
            losses.append(loss.detach())
        norm = torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return torch.stack([torch.stack(losses).sum(), norm])

    began = time.monotonic()
    step(batches[0])
    synchronise()
    compiling = time.monotonic() - began
    for batch in batches[1:4]:
        step(batch)
    synchronise()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    times, outcomes = [], []
    timed = batches[4:]
    whole = time.perf_counter()
    for batch in timed:
        began = time.perf_counter()
        outcomes.append(step(batch))
        if options.each:
            synchronise()
            times.append(time.perf_counter() - began)
    synchronise()
    spent = time.perf_counter() - whole
    tokens = sum(pack["tokens"] for batch in timed for pack in batch["packs"])
    work = sum(flops(pack, settings, model) for batch in timed for pack in batch["packs"])
    if options.trace and arm.name == ARMS[0].name:
        trace(step, batches[-1], options.trace)
    peak = torch.cuda.max_memory_allocated() / GIB if device.type == "cuda" else math.nan
    reserved = torch.cuda.max_memory_reserved() / GIB if device.type == "cuda" else math.nan
    losses = torch.stack(outcomes).tolist()
    return {
        **dataclasses.asdict(arm),
        "rows": rows,
        "samples_per_s": round(rows * len(timed) / spent, 2),
        "tokens_per_s": round(tokens / spent),
        "tflops": round(work / spent / 1e12, 1),
        "share_of_matrix_rate": round(work / spent / 1e12 / matrix_tflops, 3),
        "peak_gib": round(peak, 2),
        "reserved_gib": round(reserved, 2),
        "first_step_s": round(compiling, 1),
        "median_step_s": round(statistics.median(times), 4) if times else None,
        "loss": [round(losses[0][0], 4), round(losses[-1][0], 4)],
        "gradient_norm": round(losses[-1][1], 5),
        "unfused": sorted(set(forward.text.unfused.values())),
    }


def packs_of(rows: int, budget: int, options, config, geometry, padded: bool, device, kept_by=None) -> list[dict]:
    vision = config.vision_config
    window = getattr(vision, "window_size", None)
    table = getattr(vision, "num_position_embeddings", None)
    layout = PackLayout(
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
    move = lambda value: value.to(device) if isinstance(value, torch.Tensor) else value  # noqa: E731
    moved = {name: move(value) for name, value in pack.items() if name != "stored"}
    if "stored" in pack:
        moved["stored"] = pack["stored"].pin_memory() if device.type == "cuda" else pack["stored"]
    return moved


def with_features(examples: list[Example], forward, layout: PackLayout, device) -> list[Example]:
    """The examples with the tower's features in place of their patches."""
    pack = lay([dataclasses.replace(example, keys=(example.sample_id,)) for example in examples], layout)
    with torch.no_grad():
        features = torch.stack(forward.image_features(pack_on(device, pack))).cpu()
    bounds = {key: (start, end) for key, start, end in pack["fresh"]}
    return [
        dataclasses.replace(example, patches=None, features=(features[:, slice(*bounds[example.sample_id])],))
        for example in examples
    ]


def made_examples(count: int, patch: int) -> list[Example]:
    """Lengths as the peers' benchmark draws them; tokens and pixels at random."""
    lengths, numbers = random.Random(7), np.random.default_rng(3)
    made = []
    for number in range(count):
        image = min(300, max(60, int(lengths.lognormvariate(math.log(150), 0.45))))
        high = lengths.choice([4, 6, 8, 10])
        wide = max(4, 2 * round(image * 4 / high / 2))
        answer = min(200, max(30, int(lengths.lognormvariate(math.log(90), 0.5))))
        text = lambda size: numbers.integers(20, 500, size).tolist()  # noqa: E731
        prompt = [1, *text(10), START, *[IMAGE] * (high * wide // 4), END, *text(12)]
        said = [*text(answer), 2]
        pixels = numbers.integers(0, 256, (high * wide, 3 * patch * patch), dtype=np.uint8)
        made.append(Example([*prompt, *said], [IGNORED] * len(prompt) + said, (1, high, wide), str(number), pixels))
    return made


def flops(pack: dict, settings: dict, model) -> float:
    text, vision = model.model.language_model, model.model.visual
    linear = sum(
        parameter.numel()
        for name, parameter in text.layers.named_parameters()
        if parameter.ndim == 2 and "lora_" not in name
    )
    adapters = sum(parameter.numel() for name, parameter in text.named_parameters() if "lora_" in name)
    seeing = sum(parameter.numel() for parameter in vision.blocks.parameters())
    tokens, labels = pack["tokens"], len(pack["labels"])
    patches = int(pack["image_ends"][-2]) if "image_ends" in pack else 0
    return (4 * linear + 6 * adapters) * tokens + 4 * model.lm_head.weight.numel() * labels + 2 * seeing * patches


def matrix_rate(device, tiny: bool) -> float:
    """TFLOP/s of a large product of random numbers in bf16."""
    side = 256 if tiny or device.type == "cpu" else 8192
    left, right = (torch.randn(side, side, device=device).bfloat16() for _ in range(2))
    for _ in range(3):
        left @ right
    if device.type == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(20):
        left @ right
    if device.type == "cuda":
        torch.cuda.synchronize()
    return 20 * 2 * side**3 / (time.perf_counter() - began) / 1e12


def trace(step, batch, path: str) -> None:
    """One step by kernel, as a table."""
    from torch.profiler import ProfilerActivity, profile

    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]
    with profile(activities=activities) as profiler:
        step(batch)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
    order = "self_cuda_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
    Path(path).write_text(profiler.key_averages().table(sort_by=order, row_limit=60, max_name_column_width=90))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="Qwen3-VL-4B-Instruct")
    parser.add_argument("--output")
    parser.add_argument("--only", help="arms whose name has this in it")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--each", action="store_true", help="wait after each step and tell the median")
    parser.add_argument("--trace", help="write a step of the first arm, kernel by kernel, here")
    parser.add_argument("--tiny", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
