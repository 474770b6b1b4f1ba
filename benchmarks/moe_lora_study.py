"""MoE-LoRA against LoRA of equal trainable parameters, on two tasks at once that the nano model can't do.

    python benchmarks/moe_lora_study.py --data LATEX_OCR --write benchmarks/results [--processes 6]
    python benchmarks/moe_lora_study.py --tiny          # two steps an arm on a few rows, on the CPU

LATEX_OCR is LaTeX_OCR's folder with `human_handwrite/train-*.parquet` in it. Its train rows are divided by label (the
published test labels all stand in train), and mixed with as many captions of drawn scenes ("two red circles left of a
blue square"), none of whose test texts is trained on. Both arms get the same rows in the same order, steps, rates and,
at an even routing, the same scale; LoRA's ranks are chosen group by group so that its parameters come nearest to those
of MoE-LoRA, routers included. Every arm is a process of its own, and three seeds are drawn for each.

The difference is paired: the same test rows read by both arms, averaged over seeds, resampled by row.
"""

import argparse
import io
import itertools
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

QUESTIONS = {"handwriting": "Transcribe the LaTeX of this image.", "captions": "Describe this image."}
SEEDS = (0, 1, 2)
ARMS = ("lora", "moe-lora")
EXPERTS, RANK, ALPHA = 2, 8, 32
GROUPS = ("text-attention", "text-mlp", "vision", "merger")
TRAINING = {"epochs": 12, "batch_size": 32, "engine": "plain"}
COLOURS = {"red": "#d22", "green": "#2a2", "blue": "#24d", "black": "#222", "orange": "#e80"}
SHAPES = ("circle", "square", "triangle", "bar")
COUNTS = {1: "one", 2: "two", 3: "three"}
PLACES = ("left of", "right of", "above", "below")


def main() -> None:
    options = _options()
    if options.arm:
        run_arm(Path(options.folder), options.arm, options.seed, tiny=options.tiny)
        return
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = make_data(folder, options.data, tiny=options.tiny)
        arms = run_arms(folder, options)
        result = summarise(folder, arms, rows, options) | {"minutes": round((time.monotonic() - began) / 60, 2)}
    print(json.dumps({key: result[key] for key in ("parameters", "scores", "paired", "minutes")}, indent=1))
    if options.write:
        path = options.write / f"moe-lora_{result['hardware_name']}_{result['date']}.json"
        path.write_text(json.dumps(result, indent=1) + "\n")
        print(path)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="the folder of LaTeX_OCR")
    parser.add_argument("--write", type=Path, help="leave the result in this folder")
    parser.add_argument("--processes", type=int, default=6)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--arm", choices=ARMS, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not (options.data or options.tiny or options.arm):
        parser.error("give --data LATEX_OCR, or --tiny")
    return options


# The data -------------------------------------------------------------------------------------------------------------


def make_data(folder: Path, latex_ocr: Path | None, *, tiny: bool) -> dict[str, dict[str, int]]:
    """Writes train.jsonl and test.jsonl of both tasks; returns rows by split and task."""
    written = handwriting(latex_ocr, tiny) if latex_ocr else demo_rows(24)
    by_label: dict[str, list[bytes]] = {}
    for image, text in written:
        by_label.setdefault(text, []).append(image)
    labels = sorted(by_label)
    random.Random(0).shuffle(labels)
    test_labels = set(labels[: len(labels) // 5])
    rows = {"train": [], "test": []}
    for text, images in by_label.items():
        rows["test" if text in test_labels else "train"] += [("handwriting", image, text) for image in images]
    captions = captioned(2 * len(written), seed=0)
    texts = sorted({text for _, text in captions})
    random.Random(1).shuffle(texts)
    held = set(texts[: len(texts) // 5])
    for split, wanted in (("train", False), ("test", True)):
        chosen = [row for row in captions if (row[1] in held) == wanted][: len(rows[split])]
        rows[split] += [("captions", image, text) for image, text in chosen]
    for split, members in rows.items():
        _write(folder, split, members)
    return {
        split: {task: sum(row[0] == task for row in members) for task in QUESTIONS} for split, members in rows.items()
    }


def handwriting(latex_ocr: Path, tiny: bool) -> list[tuple[bytes, str]]:
    import pyarrow.parquet as parquet

    files = sorted((latex_ocr / "human_handwrite").glob("train-*.parquet"))
    if not files:
        sys.exit(f"{latex_ocr}: no human_handwrite/train-*.parquet in it; name the folder of LaTeX_OCR")
    rows = [row for file in files for row in parquet.read_table(file).to_pylist()]
    return [(row["image"]["bytes"], row["text"]) for row in (rows[:24] if tiny else rows)]


def demo_rows(count: int) -> list[tuple[bytes, str]]:
    """The shipped handwriting, where LaTeX_OCR is not at hand."""
    from texlens.data.load import load_split

    found = []
    for sample in itertools.islice(load_split("demo", split="train"), count):
        found.append((_png(sample.image.load()), sample.text))
    return found


def captioned(count: int, seed: int) -> list[tuple[bytes, str]]:
    """Scenes of one or two groups of shapes, and what is to be said of them."""
    draw = random.Random(seed)
    return [_scene(draw) for _ in range(count)]


def _scene(draw: random.Random) -> tuple[bytes, str]:
    first = _group(draw)
    if draw.random() < 0.25:
        return _drawn([(first, (20, 20, 236, 108))], draw), _said(first)
    second, place = _group(draw), draw.choice(PLACES)
    beside = place in ("left of", "right of")
    boxes = [(8, 16, 124, 112), (132, 16, 248, 112)] if beside else [(64, 4, 192, 62), (64, 66, 192, 124)]
    if place in ("right of", "below"):
        boxes.reverse()
    return _drawn([(first, boxes[0]), (second, boxes[1])], draw), f"{_said(first)} {place} {_said(second)}"


def _group(draw: random.Random) -> tuple[int, str, str]:
    return draw.choice(list(COUNTS)), draw.choice(list(COLOURS)), draw.choice(SHAPES)


def _said(group: tuple[int, str, str]) -> str:
    count, colour, shape = group
    return f"{COUNTS[count]} {colour} {shape}{'s' if count > 1 else ''}"


def _drawn(groups: list, draw: random.Random) -> bytes:
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (256, 128), "white")
    pen = ImageDraw.Draw(image)
    for (count, colour, shape), (left, top, right, bottom) in groups:
        width = (right - left) / count
        for number in range(count):
            size = min(width, bottom - top) * draw.uniform(0.55, 0.85) / 2
            x = left + width * (number + 0.5) + draw.uniform(-2, 2)
            y = (top + bottom) / 2 + draw.uniform(-5, 5)
            _shape(pen, shape, x, y, size, COLOURS[colour])
    return _png(image)


def _shape(pen, shape: str, x: float, y: float, size: float, fill: str) -> None:
    box = (x - size, y - size, x + size, y + size)
    if shape == "circle":
        pen.ellipse(box, fill=fill)
    elif shape == "square":
        pen.rectangle(box, fill=fill)
    elif shape == "bar":
        pen.rectangle((x - size / 4, y - size, x + size / 4, y + size), fill=fill)
    else:
        pen.polygon([(x, y - size), (x - size, y + size), (x + size, y + size)], fill=fill)


def _png(image) -> bytes:
    file = io.BytesIO()
    image.convert("RGB").save(file, "PNG")
    return file.getvalue()


def _write(folder: Path, split: str, rows: list[tuple[str, bytes, str]]) -> None:
    (folder / "images").mkdir(exist_ok=True)
    with (folder / f"{split}.jsonl").open("w", encoding="utf-8") as file:
        for number, (task, image, text) in enumerate(rows):
            name = f"images/{split}-{number}.png"
            (folder / name).write_bytes(image)
            user = f"<img>{name}</img>{QUESTIONS[task]}"
            turns = [{"role": "user", "content": user}, {"role": "assistant", "content": text}]
            file.write(json.dumps({"id": f"{task}-{split}-{number}", "messages": turns}) + "\n")


# The arms -------------------------------------------------------------------------------------------------------------


def run_arms(folder: Path, options: argparse.Namespace) -> list[dict]:
    """What each arm left; they run side by side."""
    jobs = [(arm, seed) for seed in (SEEDS[:2] if options.tiny else SEEDS) for arm in ARMS]

    def run(job: tuple[str, int]) -> dict:
        arm, seed = job
        command = [sys.executable, __file__, "--arm", arm, "--seed", str(seed), "--folder", str(folder)]
        done = subprocess.run([*command, *(["--tiny"] if options.tiny else [])], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{arm} seed {seed} failed:\n{done.stderr[-3000:]}")
        return json.loads((folder / f"{arm}-{seed}.json").read_text())

    os.environ.setdefault("OMP_NUM_THREADS", "2")
    with ThreadPoolExecutor(1 if options.tiny else options.processes) as pool:
        return list(pool.map(run, jobs))


def settings_of(folder: Path, arm: str, seed: int, *, tiny: bool) -> dict:
    targets = {"targets": list(GROUPS)}
    if arm == "moe-lora":
        adapter = {"kind": arm, "experts": EXPERTS, "rank": RANK, "alpha": ALPHA, **targets}
    else:
        ranks = equal_ranks()
        own = {group: {"rank": rank, "alpha": ALPHA // EXPERTS * rank // RANK} for group, rank in ranks.items()}
        adapter = {"kind": arm, "rank": EXPERTS * RANK, "alpha": ALPHA, "groups": own, **targets}
    training = {**TRAINING, "seed": seed, "optimizer": {"learning_rate": 2e-3, "warmup_ratio": 0.05}}
    if not tiny:
        training["workers"] = 2
    else:
        training |= {"epochs": None, "steps": 2, "batch_size": 4}
    return {
        "name": f"{arm}-{seed}",
        "output": str(folder / "runs"),
        "model": {"path": "nano"},
        "data": {
            "path": str(folder),
            "format": "conversations",
            "splits": {"train": "train", "validation": None, "test": "test"},
        },
        "adapter": {**adapter, "dropout": 0.1},
        "train": training,
        "evaluate": {"max_new_tokens": 8 if tiny else 128},
    }


def equal_ranks() -> dict[str, int]:
    """LoRA's rank of each group, such that all together come nearest to MoE-LoRA's parameters."""
    sums = widths()
    wanted = sum(EXPERTS * RANK * both + EXPERTS * inputs for both, inputs in sums.values())
    most = range(EXPERTS * RANK, EXPERTS * RANK + 4)
    choices = itertools.product(most, repeat=len(sums))
    best = min(
        choices, key=lambda ranks: abs(sum(r * s[0] for r, s in zip(ranks, sums.values(), strict=True)) - wanted)
    )
    return dict(zip(sums, best, strict=True))


def widths() -> dict[str, tuple[int, int]]:
    """Of each group of the nano model, widths in and out added up, and widths in."""
    from texlens.adapters.linears import linear_layers
    from texlens.adapters.plan import grouped
    from texlens.models.checkpoint import read_config
    from texlens.models.families import FAMILIES
    from texlens.models.shipped import NANO_FOLDER
    from texlens.models.skeleton import skeleton

    found = grouped(linear_layers(skeleton(read_config(NANO_FOLDER))), FAMILIES["qwen3_vl"].groups)
    return {
        group: (
            sum(layer.inputs + layer.outputs for layer in found[group]),
            sum(layer.inputs for layer in found[group]),
        )
        for group in GROUPS
    }


def run_arm(folder: Path, arm: str, seed: int, *, tiny: bool) -> None:
    """Trains and reads; leaves the predictions and facts in the folder."""
    from rich.console import Console

    from texlens.adapters.lora import load_adapter
    from texlens.config.load import build_config
    from texlens.core.run_folder import RunFolder
    from texlens.data.build import read_split
    from texlens.models.build import build_model
    from texlens.train.run import prepare, train

    console = Console(stderr=True)
    config = build_config(settings_of(folder, arm, seed, tiny=tiny))
    prepared = prepare(config, console)
    run = RunFolder.create(Path(config.output), config.name)
    facts = train(config, prepared, run, console=console)
    samples = list(read_split(config.data, "test"))
    samples = [*samples[:2], *samples[-2:]] if tiny else samples
    use = [row["expert_use"] for row in run.history() if "expert_use" in row]
    model = build_model(prepared.base, config.model)
    base = _read(model, prepared.base.processor, samples, config) if (arm, seed) == ("lora", 0) else None
    adapted = load_adapter(model, run.adapter, fingerprint=prepared.base.fingerprint).eval()
    made = {
        "arm": arm,
        "seed": seed,
        "parameters": prepared.plan.trainable,
        "training": facts,
        "loss": [row["loss"] for row in run.history() if "loss" in row],
        "expert_use": use[-1] if use else None,
        "predictions": _read(adapted, prepared.base.processor, samples, config),
        "base_predictions": base,
    }
    (folder / f"{arm}-{seed}.json").write_text(json.dumps(made))


def _read(model, processor, samples, config) -> dict[str, tuple[str, str]]:
    from texlens.models.generate import generate

    limit = config.evaluate.max_new_tokens
    question = config.data.question
    made = generate(model, processor, samples, question=question, batch_size=64, max_new_tokens=limit)
    return {prediction.id: (prediction.truth, prediction.text) for prediction in made}


# The summary ----------------------------------------------------------------------------------------------------------


def summarise(folder: Path, arms: list[dict], rows: dict, options: argparse.Namespace) -> dict:
    import torch

    from texlens.core.environment import describe_environment
    from texlens.core.expert_use import dead_experts

    scored = {(made["arm"], made["seed"]): row_scores(made["predictions"]) for made in arms}
    base = next(made["base_predictions"] for made in arms if made["base_predictions"])
    mixed = [made for made in arms if made["expert_use"]]
    environment = describe_environment()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "what": "MoE-LoRA against LoRA of equal trainable parameters, nano model, handwriting and captions mixed",
        "command": " ".join(["python", "benchmarks/moe_lora_study.py", *sys.argv[1:]]),
        "hardware": gpu or environment["cpu"],
        "hardware_name": "h200" if gpu and "H200" in gpu else "gpu" if gpu else "cpu",
        "date": datetime.now(UTC).date().isoformat(),
        "software": {"python": environment["python"], **environment["packages"]},
        "commit": environment["commit"],
        "rows": rows,
        "settings": {arm: settings_of(Path("DATA"), arm, 0, tiny=options.tiny) for arm in ARMS},
        "parameters": {made["arm"]: made["parameters"] for made in arms},
        "scores": scores_table(scored, row_scores(base)),
        "paired": paired(scored),
        "seconds": {f"{made['arm']}-{made['seed']}": made["training"]["seconds"] for made in arms},
        "final_loss": {f"{made['arm']}-{made['seed']}": made["loss"][-1] for made in arms},
        "dead_experts": {f"seed {made['seed']}": dead_experts(made["expert_use"]) for made in mixed},
        "expert_use": {f"seed {made['seed']}": made["expert_use"] for made in mixed},
    }


def row_scores(predictions: dict[str, tuple[str, str]]) -> dict[str, dict[str, float]]:
    """Of each row: exact match after canonical spacing, and 1 minus the normalised edit distance."""
    from rapidfuzz.distance import Levenshtein

    from texlens.latex.tokens import canonical_spacing

    found = {}
    for name, (truth, text) in predictions.items():
        truth, text = canonical_spacing(truth), canonical_spacing(text)
        similar = Levenshtein.normalized_similarity(truth, text)
        found[name] = {"exact_match": float(truth == text), "edit_similarity": similar}
    return found


def _of(task: str, names) -> list[str]:
    return sorted(name for name in names if task == "both" or name.startswith(task))


def scores_table(scored: dict, base: dict) -> dict:
    """Each arm's mean by task and metric, and each seed's own."""
    table: dict = {}
    for task in (*QUESTIONS, "both"):
        table[task] = {}
        for metric in ("exact_match", "edit_similarity"):
            seeds = {
                arm: [_mean(scored[arm, seed], task, metric) for seed in SEEDS if (arm, seed) in scored] for arm in ARMS
            }
            means = {arm: round(sum(values) / len(values), 5) for arm, values in seeds.items()}
            table[task][metric] = {"base": _mean(base, task, metric), **means, "seeds": seeds}
    return table


def _mean(rows: dict, task: str, metric: str) -> float:
    names = _of(task, rows)
    return round(sum(rows[name][metric] for name in names) / max(len(names), 1), 5)


def paired(scored: dict) -> dict:
    """MoE-LoRA minus LoRA with a 95% interval: the rows' differences, averaged over seeds, resampled."""
    import numpy as np

    from texlens.evaluate.statistics import percentile_interval, resampled_sums

    found: dict = {}
    seeds = sorted({seed for _, seed in scored})
    for task in (*QUESTIONS, "both"):
        names = _of(task, next(iter(scored.values())))
        for metric in ("exact_match", "edit_similarity"):
            by_seed = np.array(
                [
                    [scored["moe-lora", seed][name][metric] - scored["lora", seed][name][metric] for name in names]
                    for seed in seeds
                ]
            )
            rows = by_seed.mean(0)
            sums = resampled_sums(rows[:, None], resamples=10_000)[:, 0] / max(len(rows), 1)
            interval = percentile_interval(rows.mean(), sums)
            found.setdefault(task, {})[metric] = {
                **interval.to_json(),
                "seeds": [round(float(value), 5) for value in by_seed.mean(1)],
                "spread_of_seeds": round(float(by_seed.mean(1).std(ddof=1)) / math.sqrt(len(seeds)), 5),
            }
    return found


if __name__ == "__main__":
    main()
