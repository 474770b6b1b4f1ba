"""Loss curves over a frozen base in fp8 and in bf16: the same rows in the same order, the same first weights.

    python benchmarks/fp8_curve.py --output benchmarks/results/fp8-curve_h200_DATE.json [--only nano|wide]
    python benchmarks/fp8_curve.py --tiny          # few layers and steps on the CPU, by the plain form of the products

Each theme trains LoRA r=16 on the seven text projections for 300 steps of the packed engine (warm-up, then a cosine to
zero), once over each base: bf16, fp8, and fp8 with the vision tower in it (`base.quantize_vision`). `nano` is the
shipped model on the demo's handwriting, or on the rows of --data (a folder of parquet, say), twice through them and at
most 32 a step; another arm over bf16 starts from other first weights, which shows how much chance moves the end.
`wide` is a full-size model with random weights on made rows of the lengths of `fast_path_rows.py`: noise for images,
answers drawn from a grammar of 64 symbols whose entropy no model gets below. It
takes 28 rows a step, half of the speed benchmark's, and goes through its 1,400 rows six times. `end` is the mean loss
of the last 20 steps; the two ends of a theme are to lie within 1%.
"""

import argparse
import dataclasses
import gc
import importlib.util
import json
import math
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fast_path import on
from fast_path_rows import IMAGE, PAD, RANK, base_model, made_examples, settings_of, synchronize
from peft import LoraConfig, get_peft_model
from rich.console import Console
from transformers.utils import logging as transformers_logging

from texlens.adapters.build import build_adapter, build_plan
from texlens.config.load import build_config
from texlens.core.labels import IGNORE_INDEX
from texlens.data.geometry import ImageGeometry
from texlens.inputs.build import build_splits
from texlens.inputs.dataset import ExampleDataset
from texlens.inputs.example import Example
from texlens.inputs.image_patches import image_to_raw_patches
from texlens.inputs.pack import PackSpec
from texlens.inputs.packed_collator import PackCollator
from texlens.models.build import build_base, build_model
from texlens.models.checkpoint import read_config
from texlens.models.families import family_of
from texlens.models.fp8 import fp8_layers, quantize_in_fp8
from texlens.models.packed.forward import PackedForward, pack_spec, packed_forward

STEPS, WARM_UP, LAST, LOSS_EVERY, PRINT_EVERY = 300, 15, 20, 10, 50
EPOCHS = 2
"""nano: a step has so few rows that none is seen more often, lest the end be of rows known by heart."""
BUDGET = 18_432
SYMBOLS, CHANCES = 64, (0.6, 0.25, 0.1, 0.05)
"""Of the made answers: how many symbols there are, and how likely each of the four that may follow one is."""


@dataclasses.dataclass(frozen=True)
class Arm:
    theme: str
    name: str
    base: str
    seed: int = 0


ARMS = (
    Arm("nano", "bf16", "none"),
    Arm("nano", "fp8", "fp8"),
    Arm("nano", "fp8, tower too", "fp8 with its tower"),
    Arm("nano", "bf16, other first weights", "none", seed=1),
    Arm("wide", "bf16", "none"),
    Arm("wide", "fp8", "fp8"),
    Arm("wide", "fp8, tower too", "fp8 with its tower"),
)


@dataclasses.dataclass(frozen=True)
class Task:
    """What the arms of a theme share: `batches` are a step's rows each, gone through again and again; `model` makes the
    adapted model again; `validation` are batches that nothing is trained on."""

    batches: list[dict]
    validation: list[dict]
    model: Callable[[Arm], Any]
    geometry: ImageGeometry
    learning_rate: float
    description: dict


def main() -> None:
    options = _options()
    transformers_logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning)  # transformers warns itself of its own names
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    report = {
        "command": " ".join(["python", "benchmarks/fp8_curve.py", *sys.argv[1:]]),
        "date": datetime.now(UTC).date().isoformat(),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else platform.machine(),
        "versions": {name: version(name) for name in ("torch", "transformers", "peft", *_triton())},
        "steps": options.steps,
        "themes": {},
    }
    for theme, prepare in {"nano": nano, "wide": full_size}.items():
        if options.only not in (None, theme):
            continue
        began = time.monotonic()
        task = prepare(options, device)
        theme_report = {**task.description, "seconds_to_prepare": round(time.monotonic() - began, 1), "arms": {}}
        report["themes"][theme] = theme_report
        for arm in (arm for arm in ARMS if arm.theme == theme):
            result = theme_report["arms"][arm.name] = run(arm, task, options.steps, device)
            print(f"{theme}, {arm.name}: {json.dumps(result)}", flush=True)
            theme_report |= compared(theme_report["arms"])
            if options.output:
                Path(options.output).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        del task
        released()
        far, within = theme_report["fp8_over_bf16"] - 1, theme_report["within_1%"]
        print(f"{theme}: fp8 ends {far:+.2%} from bf16, within 1%: {within}", flush=True)


def compared(arms: dict) -> dict:
    """How far the other arms end from bf16's, as a factor."""
    end = arms["bf16"]["end"]
    ratios = {}
    if "fp8" in arms:
        factor = arms["fp8"]["end"] / end
        ratios = {"fp8_over_bf16": round(factor, 5), "within_1%": abs(factor - 1) <= 0.01}
    if "fp8, tower too" in arms:
        ratios["fp8_tower_too_over_bf16"] = round(arms["fp8, tower too"]["end"] / end, 5)
    if "bf16, other first weights" in arms:
        ratios["other_first_weights_over_bf16"] = round(arms["bf16, other first weights"]["end"] / end, 5)
    return ratios


def run(arm: Arm, task: Task, steps: int, device) -> dict:
    began = time.monotonic()
    adapted = task.model(arm)
    model = adapted.base_model.model
    backend = "triton" if device.type == "cuda" else "cpu"
    forward = packed_forward(model, task.geometry, backend=backend)
    trained = [parameter for parameter in adapted.parameters() if parameter.requires_grad]
    built = time.monotonic() - began
    losses, first_s, rest_s = train(forward, trained, task, steps, device)
    result = {
        "end": round(statistics.fmean(losses[-LAST:]), 5),
        "first": round(losses[0], 5),
        "losses": [round(loss, 4) for loss in losses[::LOSS_EVERY]],
        "validation": round(validation_loss(forward, task.validation, device), 5) if task.validation else None,
        "fp8_layers": len(fp8_layers(model)),
        "unfused": sorted(set(forward.text.unfused.values())),
        "seconds_to_build": round(built, 1),
        "seconds_of_first_step": round(first_s, 1),
        "seconds_of_the_others": round(rest_s, 1),
    }
    del adapted, model, forward, trained
    released()
    return result


def train(forward: PackedForward, trained: list, task: Task, steps: int, device) -> tuple[list[float], float, float]:
    """The loss of each step, a mean over its labels in nats; the seconds of the first, and of all others."""
    optimizer = torch.optim.AdamW(trained, lr=task.learning_rate, weight_decay=0.0, fused=device.type == "cuda")
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: share_of_rate(step, steps))
    losses, began, first_s = [], time.perf_counter(), 0.0
    for step in range(steps):
        batch = task.batches[step % len(task.batches)]
        parts = []
        for pack in on(device, batch)["packs"]:
            loss = forward.loss(pack) / batch["label_count"]
            loss.backward()
            parts.append(loss.detach())
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(torch.stack(parts).sum())
        if step == 0:
            synchronize(device)
            first_s = time.perf_counter() - began
        if step % PRINT_EVERY == 0:
            print(f"  step {step}: {losses[-1].item():.4f} after {time.perf_counter() - began:.1f} s", flush=True)
    synchronize(device)
    return torch.stack(losses).tolist(), first_s, time.perf_counter() - began - first_s


def share_of_rate(step: int, steps: int) -> float:
    """A warm-up, then a cosine to zero."""
    warm_up = min(WARM_UP, steps // 4)
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / (steps - warm_up)))


@torch.no_grad()
def validation_loss(forward: PackedForward, batches: list[dict], device) -> float:
    total = sum(forward.loss(pack).item() for batch in batches for pack in on(device, batch)["packs"])
    return total / sum(batch["label_count"] for batch in batches)


def quantize(model: Any, arm: Arm) -> None:
    if arm.base != "none":
        quantize_in_fp8(model, vision=arm.base != "fp8")


# The shipped model on handwriting -------------------------------------------------------------------------------------


def nano(options, device) -> Task:
    data = {"path": "demo", "checks": {"images": "headers"}} | ({"limit": 40} if options.tiny else {})
    if options.data:
        data |= {"path": options.data, "splits": {"validation": 0.05, "test": None}}
    adapter = {"kind": "lora", "rank": RANK, "alpha": 2 * RANK, "targets": ["text-attention", "text-mlp"]}
    config = build_config({"model": {"path": "nano"}, "data": data, "adapter": adapter})
    base = build_base(config.model)
    processor = base.processor
    splits = build_splits(config.data, processor.tokenizer, processor.geometry, console=Console(quiet=True))
    plan = build_plan(config.adapter, processor.family, read_config(base.folder))

    def model(arm: Arm):
        base_copy = build_model(base, config.model)
        quantize(base_copy, arm)
        return build_adapter(base_copy, plan, config.adapter, seed=arm.seed, base_path="nano").train()

    layout = pack_spec(build_model(base, config.model).config, processor, padded=device.type == "cuda")
    collate = PackCollator(layout, BUDGET)

    def examples_of(samples) -> list[Example]:
        dataset = ExampleDataset(
            samples,
            processor.tokenizer,
            processor.geometry,
            prompt=config.data.prompt,
            patchify=image_to_raw_patches,
        )
        return [dataset[index] for index in range(len(dataset))]

    rows = options.rows or max(4, min(32, EPOCHS * len(splits.train) // options.steps))
    batches = epochs_of(examples_of(splits.train), rows, options.steps, collate)
    validation = examples_of(splits.validation)
    held_out = [collate(validation[start : start + rows]) for start in range(0, len(validation), rows)]
    description = {"model": "nano", "rows": len(splits.train), "rows_a_step": rows, "learning_rate": 1e-3}
    return Task(batches, held_out, model, processor.geometry, 1e-3, description)


def epochs_of(examples: list[Example], rows: int, steps: int, collate: PackCollator) -> list[dict]:
    """Batches of all steps, each epoch in an order of its own."""
    numbers, order = np.random.default_rng(5), []
    while len(order) < rows * steps:
        order += numbers.permutation(len(examples)).tolist()
    return [collate([examples[index] for index in order[step * rows : (step + 1) * rows]]) for step in range(steps)]


# A full-size model on made rows ---------------------------------------------------------------------------------------


def full_size(options, device) -> Task:
    settings = settings_of(options.model, options.tiny)
    text = settings.get("text_config", settings)
    if options.layers:
        text["num_hidden_layers"] = options.layers
    family = family_of(settings)
    geometry = ImageGeometry(family.patch_size, mean=family.mean, std=family.std)
    rows, batches = options.rows or (4 if options.tiny else 28), 3 if options.tiny else 50
    vision = settings["vision_config"]
    padded = 128 if device.type == "cuda" else 1
    layout = PackSpec(
        IMAGE,
        PAD,
        table_side=int(vision.get("num_position_embeddings", 2304) ** 0.5),
        token_multiple=padded,
        patch_multiple=max(padded, 4),
    )
    collate = PackCollator(layout, BUDGET)
    examples = with_grammar(made_examples(rows * batches, geometry.patch_size))
    laid = [on(device, collate(examples[start : start + rows])) for start in range(0, len(examples), rows)]
    groups = family.groups

    def model(arm: Arm):
        unadapted = base_model(settings, device)
        quantize(unadapted, arm)
        torch.manual_seed(arm.seed)
        projections = f"{groups['text-attention']}|{groups['text-mlp']}"
        config = LoraConfig(r=RANK, lora_alpha=RANK, target_modules=projections, task_type="CAUSAL_LM")
        return get_peft_model(unadapted, config).train()

    description = {
        "model": options.model,
        "text_layers": text["num_hidden_layers"],
        "rows": len(examples),
        "rows_a_step": rows,
        "learning_rate": options.learning_rate,
        "entropy_of_answers": round(-sum(chance * math.log(chance) for chance in CHANCES), 4),
    }
    return Task(laid, [], model, geometry, options.learning_rate, description)


def with_grammar(examples: list[Example]) -> list[Example]:
    """The examples with answers in which each symbol is followed by one of four, some likelier than others."""
    numbers = np.random.default_rng(9)
    follows = np.stack([numbers.permutation(SYMBOLS)[: len(CHANCES)] for _ in range(SYMBOLS)])
    replaced = []
    for example in examples:
        count = example.answer_tokens - 1
        symbol, symbols = int(numbers.integers(SYMBOLS)), []
        for choice in numbers.choice(len(CHANCES), count, p=CHANCES):
            symbols.append(1000 + symbol)
            symbol = int(follows[symbol, choice])
        prompt = example.input_ids[: -example.answer_tokens]
        answer = [*symbols, 2]
        labels = [IGNORE_INDEX] * len(prompt) + answer
        replaced.append(dataclasses.replace(example, input_ids=[*prompt, *answer], labels=labels))
    return replaced


def _triton() -> list[str]:
    return ["triton"] if importlib.util.find_spec("triton") else []


def released() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output")
    parser.add_argument("--only", choices=["nano", "wide"])
    parser.add_argument("--data", help="nano: rows to train on instead of the demo's, 5%% of them for validation")
    parser.add_argument("--model", default="Qwen3-VL-4B-Instruct", help="wide: the Qwen3-VL whose config is taken")
    parser.add_argument("--layers", type=int, help="wide: text layers, all unless given")
    parser.add_argument("--learning-rate", type=float, default=5e-4, help="wide")
    parser.add_argument("--rows", type=int, help="a step")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    options.steps = options.steps or (6 if options.tiny else STEPS)
    return options


if __name__ == "__main__":
    main()
