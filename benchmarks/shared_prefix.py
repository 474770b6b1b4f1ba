"""Rows a second of several answers an image: with the prefix shared, against the same answers as separate rows.

    python benchmarks/shared_prefix.py --output benchmarks/results/shared-prefix_h200_DATE.json
    python benchmarks/shared_prefix.py --nano --images 2 --steps 4           # the bundled model, on a CPU

Four answers of 90 tokens to questions of 10 (and of 20) tokens about an image of 170 tokens. Forward, backward,
clipping and fused AdamW over packs on the device, without a loader; both arms take the same answers in a step, turn by
turn. In separate rows the tower reads each image as often as it is question_ids about. `loss_difference`
is between the arms, over the loss. On a CPU seconds are those of the process, so that other programs don't count.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from fast_path_rows import (
    END,
    GIB,
    IMAGE,
    PAD,
    START,
    base_model,
    packs_of,
    settings_of,
    spec_of,
    step,
    synchronize,
    text_projections,
)
from peft import LoraConfig, get_peft_model

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from texlens.core.labels import IGNORE_INDEX
from texlens.data.geometry import ImageGeometry
from texlens.inputs.branches.share_prefix import share_prefix
from texlens.inputs.example import Example
from texlens.models.bundled import NANO_FOLDER
from texlens.models.families import family_of
from texlens.models.load import load_model
from texlens.models.packed.forward import packed_forward
from texlens.models.processor import load_processor

BRANCHES, ANSWER = 4, 90
HEIGHT, WIDTH = 20, 34
"""Patches of an image of 170 tokens."""
SYSTEM = 4
HIGHEST_ID = 200
"""Of the random tokens: within nano's vocabulary, below its special tokens."""


def main() -> None:
    options = _options()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = load_model(NANO_FOLDER) if options.nano else base_model(settings_of(options.model, False), device)
    settings = model.config.to_dict()
    lora = LoraConfig(r=16, lora_alpha=16, target_modules=text_projections(settings), task_type="CAUSAL_LM")
    adapted = get_peft_model(model, lora).train()
    family = family_of(settings)
    geometry = ImageGeometry(family.patch_size, mean=family.mean, std=family.std)
    geometry = load_processor(NANO_FOLDER).geometry if options.nano else geometry
    inner = adapted.base_model.model
    forward = packed_forward(inner, geometry, backend="triton" if device.type == "cuda" else "cpu")
    report = {
        "theme": "shared prefix",
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": torch.cuda.get_device_name() if device.type == "cuda" else f"{platform.machine()} CPU",
        "torch": torch.__version__,
        "command": f"python {' '.join(sys.argv)}",
        "model": "nano" if options.nano else options.model,
        "branches": BRANCHES,
        "answer_tokens": ANSWER,
        "image_tokens": HEIGHT * WIDTH // 4,
        "images": options.images,
        "questions": {},
    }
    for question in (10, 20):
        ids = (inner.config.vision_start_token_id, inner.config.image_token_id) if options.nano else (START, IMAGE)
        groups = rows_of(options.images, question, geometry.patch_size, *ids)
        pad, padded = 0 if options.nano else PAD, device.type == "cuda"
        spec = spec_of(inner.config, geometry, family, image=ids[1], pad=pad, padded=padded)
        arms = {
            "separate": packs_of([row for rows in groups for row in rows], spec, device),
            "shared": packs_of([share_prefix(rows, ids[1]) for rows in groups], spec, device),
        }
        report["questions"][question] = row = compared(forward, arms, adapted, device, options)
        print(f"{question} question tokens: {json.dumps(row)}", flush=True)
    if options.output:
        Path(options.output).write_text(json.dumps(report, indent=1) + "\n")


def rows_of(images: int, question: int, patch: int, start: int, image_id: int) -> list[list[Example]]:
    """For each image its answers as rows of their own; tokens and pixels at random."""
    numbers, groups, end = np.random.default_rng(3), [], [END] if image_id == IMAGE else []
    for image in range(images):
        pixels = numbers.integers(0, 256, (HEIGHT * WIDTH, 3 * patch * patch), dtype=np.uint8)
        system = numbers.integers(40, HIGHEST_ID, SYSTEM).tolist()
        rows = []
        for branch in range(BRANCHES):
            question_ids = [30 + branch, *numbers.integers(40, HIGHEST_ID, question - 1).tolist()]
            prompt = [*system, start, *[image_id] * (HEIGHT * WIDTH // 4), *end, *question_ids]
            answer = numbers.integers(40, HIGHEST_ID, ANSWER).tolist()
            labels = [IGNORE_INDEX] * len(prompt) + answer
            rows.append(Example([*prompt, *answer], labels, (1, HEIGHT, WIDTH), f"{image}.{branch}", pixels))
        groups.append(rows)
    return groups


def compared(forward, arms: dict[str, list[dict]], adapted, device, options) -> dict:
    trained = [parameter for parameter in adapted.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-6, fused=device.type == "cuda")
    with torch.no_grad():
        losses = {name: sum(float(forward.loss(pack)) for pack in packs) for name, packs in arms.items()}
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    peaks, clock = {}, time.perf_counter if device.type == "cuda" else time.process_time
    for turn in range(options.warm + options.steps):
        for name, packs in arms.items():
            synchronize(device)
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats()
            began = clock()
            step(forward, packs, adapted, optimizer)
            synchronize(device)
            if turn >= options.warm:
                seconds[name].append(clock() - began)
            if device.type == "cuda":
                peaks[name] = round(torch.cuda.max_memory_allocated() / GIB, 2)
    rows = BRANCHES * options.images
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    ratios = sorted(a / b for a, b in zip(seconds["separate"], seconds["shared"], strict=True))
    quarter = len(ratios) // 4
    return {
        "ratio": round(statistics.median(ratios), 3),
        "ratio_middle_half": [round(ratios[quarter], 3), round(ratios[-1 - quarter], 3)],
        "rows_per_s": {name: round(rows / value, 2) for name, value in middle.items()},
        "step_ms": {name: round(1000 * value, 1) for name, value in middle.items()},
        "tokens": {name: sum(pack["tokens"] for pack in packs) for name, packs in arms.items()},
        "loss_difference": abs(losses["shared"] - losses["separate"]) / losses["separate"],
        "peak_gib": peaks,
    }


def _options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="Qwen3-VL-4B-Instruct")
    parser.add_argument("--output")
    parser.add_argument("--nano", action="store_true")
    parser.add_argument("--images", type=int, default=14)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--warm", type=int, default=3)
    options = parser.parse_args()
    torch._dynamo.config.disable = True
    return options


if __name__ == "__main__":
    main()
