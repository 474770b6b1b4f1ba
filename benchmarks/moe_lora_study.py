"""MoE-LoRA against LoRA of equal trainable parameters, on two tasks at once that the nano model can't do.

    python benchmarks/moe_lora_study.py --data LATEX_OCR --write benchmarks/results [--processes 6]
    python benchmarks/moe_lora_study.py --tiny          # two steps an arm on a few rows, on the CPU

LATEX_OCR is LaTeX_OCR's folder with `human_handwrite/train-*.parquet` in it. Its train rows are divided by label (the
published test labels all occur in train), and mixed with as many captions of drawn scenes ("two red circles left of a
blue square"), none of whose test texts is trained on. Both arms get the same rows in the same order, steps, rates and,
at an even routing, the same scale; LoRA's ranks are chosen group by group so that its parameters come nearest to those
of MoE-LoRA, routers included. Every arm is a process of its own, and three seeds are drawn for each.

The difference is paired: the same test rows read by both arms, averaged over seeds, resampled by row.

What arms are doing is printed every 10 s. Each arm's result is left in the `--write` folder as soon as it ends, and
`--limit-s` stops what is not done by then: the summary is of the arms that are.
"""

import argparse
import io
import itertools
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

QUESTIONS = {"handwriting": "Transcribe the LaTeX of this image.", "captions": "Describe this image."}
SEEDS = (0, 1, 2)
ARMS = ("lora", "moe-lora")
EXPERTS, RANK, ALPHA = 2, 8, 32
GROUPS = ("text-attention", "text-mlp", "vision", "merger")
TRAINING = {
    "epochs": 8,
    "batch_size": 32,
    "compute": {"pack_tokens": 16_384, "compile": "off"},
    "checkpoints": {"every_steps": 100_000},
}
READ_AT_ONCE = 262
REPORT_EVERY_S = 10
COLORS = {"red": "#d22", "green": "#2a2", "blue": "#24d", "black": "#222", "orange": "#e80"}
SHAPES = ("circle", "square", "triangle", "bar")
COUNTS = {1: "one", 2: "two", 3: "three"}
PLACES = ("left of", "right of", "above", "below")


def main() -> None:
    options = _options()
    if options.arm:
        run_arm(Path(options.folder), options)
        return
    began = time.monotonic()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        rows = make_data(folder, options.data, tiny=options.tiny)
        print_elapsed(began, f"rows written: {rows}")
        arms = run_arms(folder, options, began)
        if not arms:
            sys.exit("no arm ended; see above")
        result = summarize(arms, rows, options) | {"minutes": round((time.monotonic() - began) / 60, 2)}
    print(json.dumps({key: result[key] for key in ("parameters", "scores", "paired", "minutes")}, indent=1))
    if options.write:
        path = options.write / f"moe-lora_{result['hardware_name']}_{result['date']}.json"
        path.write_text(json.dumps(result, indent=1) + "\n")
        print(path)


def print_elapsed(began: float, text: str) -> None:
    print(f"{time.monotonic() - began:6.1f} s  {text}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="the folder of LaTeX_OCR")
    parser.add_argument("--write", type=Path, help="leave the result in this folder")
    parser.add_argument("--processes", type=int, default=6)
    parser.add_argument("--engine", choices=("auto", "packed", "plain"), default="auto")
    parser.add_argument("--epochs", type=float, default=TRAINING["epochs"])
    parser.add_argument("--steps", type=int, help="stop after so many steps: to see how long one takes")
    parser.add_argument("--only", nargs="+", metavar="ARM-SEED", help="these arms alone, lora-0 for instance")
    parser.add_argument("--limit-s", type=float, default=math.inf)
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
    for split, is_test in (("train", False), ("test", True)):
        chosen = [row for row in captions if (row[1] in held) == is_test][: len(rows[split])]
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

    rows = []
    for sample in itertools.islice(load_split("demo", split="train"), count):
        rows.append((_png(sample.image.load()), sample.text))
    return rows


def captioned(count: int, seed: int) -> list[tuple[bytes, str]]:
    """Scenes of one or two groups of shapes, and their captions."""
    draw = random.Random(seed)
    return [_scene(draw) for _ in range(count)]


def _scene(draw: random.Random) -> tuple[bytes, str]:
    first = _group(draw)
    if draw.random() < 0.25:
        return _drawn([(first, (20, 20, 236, 108))], draw), _caption(first)
    second, position = _group(draw), draw.choice(PLACES)
    beside = position in ("left of", "right of")
    boxes = [(8, 16, 124, 112), (132, 16, 248, 112)] if beside else [(64, 4, 192, 62), (64, 66, 192, 124)]
    if position in ("right of", "below"):
        boxes.reverse()
    return _drawn([(first, boxes[0]), (second, boxes[1])], draw), f"{_caption(first)} {position} {_caption(second)}"


def _group(draw: random.Random) -> tuple[int, str, str]:
    return draw.choice(list(COUNTS)), draw.choice(list(COLORS)), draw.choice(SHAPES)


def _caption(group: tuple[int, str, str]) -> str:
    count, color, shape = group
    return f"{COUNTS[count]} {color} {shape}{'s' if count > 1 else ''}"


def _drawn(groups: list, draw: random.Random) -> bytes:
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (256, 128), "white")
    canvas = ImageDraw.Draw(image)
    for (count, color, shape), (left, top, right, bottom) in groups:
        width = (right - left) / count
        for number in range(count):
            size = min(width, bottom - top) * draw.uniform(0.55, 0.85) / 2
            x = left + width * (number + 0.5) + draw.uniform(-2, 2)
            y = (top + bottom) / 2 + draw.uniform(-5, 5)
            _shape(canvas, shape, x, y, size, COLORS[color])
    return _png(image)


def _shape(canvas, shape: str, x: float, y: float, size: float, fill: str) -> None:
    box = (x - size, y - size, x + size, y + size)
    if shape == "circle":
        canvas.ellipse(box, fill=fill)
    elif shape == "square":
        canvas.rectangle(box, fill=fill)
    elif shape == "bar":
        canvas.rectangle((x - size / 4, y - size, x + size / 4, y + size), fill=fill)
    else:
        canvas.polygon([(x, y - size), (x - size, y + size), (x + size, y + size)], fill=fill)


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


def run_arms(folder: Path, options: argparse.Namespace, began: float) -> list[dict]:
    """What each arm left that ended in time; as many run side by side as there are processes."""
    seeds = SEEDS[:2] if options.tiny else SEEDS
    waiting = [(arm, seed) for seed in seeds for arm in ARMS if not options.only or f"{arm}-{seed}" in options.only]
    running: dict[tuple[str, int], subprocess.Popen] = {}
    done: list[dict] = []
    reported_s = 0.0
    while waiting or running:
        while waiting and len(running) < (1 if options.tiny else options.processes):
            job = waiting.pop(0)
            running[job] = start_arm(folder, *job)
        for job in [job for job, process in running.items() if process.poll() is not None]:
            done += arm_result(folder, job, running.pop(job), options, began)
        passed = time.monotonic() - began
        if passed > options.limit_s:
            for process in running.values():
                process.kill()
            print_elapsed(began, f"stopped after --limit-s; without a result: {sorted([*running, *waiting])}")
            break
        if passed - reported_s > REPORT_EVERY_S:
            reported_s = passed
            print_elapsed(began, "  ".join(f"{arm}-{seed} {doing(folder, arm, seed)}" for arm, seed in running))
        time.sleep(0.2)
    return done


def start_arm(folder: Path, arm: str, seed: int) -> subprocess.Popen:
    command = [sys.executable, __file__, *sys.argv[1:], "--arm", arm, "--seed", str(seed), "--folder", str(folder)]
    environment = {"OMP_NUM_THREADS": "2", "TOKENIZERS_PARALLELISM": "false"} | os.environ
    with (folder / f"{arm}-{seed}.log").open("w") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env=environment)


def arm_result(folder: Path, job: tuple[str, int], process, options: argparse.Namespace, began: float) -> list[dict]:
    """What an arm left, as a list of one, kept beside the summary too; none where it failed, which is reported."""
    name = f"{job[0]}-{job[1]}"
    if process.returncode:
        print_elapsed(began, f"{name} failed:\n{(folder / f'{name}.log').read_text()[-3000:]}")
        return []
    result = json.loads((folder / f"{name}.json").read_text())
    print_elapsed(began, f"{name} done: {result['seconds']}")
    if options.write:
        (options.write / f"moe-lora-arm-{name}.json").write_text(json.dumps(result))
    return [result]


def doing(folder: Path, arm: str, seed: int) -> str:
    """The last step and loss of an arm that trains, or what comes after."""
    if (stage := folder / f"{arm}-{seed}.stage").exists():
        return stage.read_text()
    from texlens.core.run_folder import RunFolder

    rows = [row for row in RunFolder(folder / "runs" / f"{arm}-{seed}").history() if "loss" in row]
    return f"step {rows[-1]['step']} loss {rows[-1]['loss']:.3f}" if rows else "starts"


def settings_of(folder: Path, arm: str, seed: int, options: argparse.Namespace) -> dict:
    targets = {"targets": list(GROUPS)}
    if arm == "moe-lora":
        adapter = {"kind": arm, "experts": EXPERTS, "rank": RANK, "alpha": ALPHA, **targets}
    else:
        ranks = equal_ranks()
        overrides = {group: {"rank": rank, "alpha": ALPHA // EXPERTS * rank // RANK} for group, rank in ranks.items()}
        adapter = {"kind": arm, "rank": EXPERTS * RANK, "alpha": ALPHA, "groups": overrides, **targets}
    compute = {"backend": "plain"} if options.engine == "plain" else {**TRAINING["compute"], "backend": options.engine}
    training = {**TRAINING, "epochs": options.epochs, "compute": compute, "seed": seed}
    training |= {"optimizer": {"learning_rate": 2e-3, "warmup_ratio": 0.05}, "workers": 0 if options.tiny else 2}
    if options.tiny:
        training |= {"batch_size": 4}
    if options.tiny or options.steps:
        training |= {"epochs": None, "steps": options.steps or 2}
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
        "evaluate": {"max_new_tokens": 8 if options.tiny else 128},
    }


def equal_ranks() -> dict[str, int]:
    """LoRA's rank of each group, such that all together come nearest to MoE-LoRA's parameters."""
    sums = widths()
    moe_parameters = sum(EXPERTS * RANK * both + EXPERTS * inputs for both, inputs in sums.values())
    most = range(EXPERTS * RANK, EXPERTS * RANK + 4)
    choices = itertools.product(most, repeat=len(sums))
    best = min(
        choices,
        key=lambda ranks: abs(sum(r * s[0] for r, s in zip(ranks, sums.values(), strict=True)) - moe_parameters),
    )
    return dict(zip(sums, best, strict=True))


def widths() -> dict[str, tuple[int, int]]:
    """Of each group of the nano model, widths in and out added up, and widths in."""
    from texlens.adapters.model_layout import linear_layers
    from texlens.adapters.targets import layers_by_group
    from texlens.models.bundled import NANO_FOLDER
    from texlens.models.checkpoint import read_config
    from texlens.models.families import FAMILIES
    from texlens.models.meta_model import meta_model

    layers = layers_by_group(linear_layers(meta_model(read_config(NANO_FOLDER))), FAMILIES["qwen3_vl"].groups)
    return {
        group: (
            sum(layer.inputs + layer.outputs for layer in layers[group]),
            sum(layer.inputs for layer in layers[group]),
        )
        for group in GROUPS
    }


def run_arm(folder: Path, options: argparse.Namespace) -> None:
    """Trains and reads; leaves the predictions and measurements in the folder."""
    began = time.monotonic()
    from rich.console import Console

    from texlens.adapters.lora import load_adapter
    from texlens.config.load import build_config
    from texlens.core.run_folder import RunFolder
    from texlens.inputs.build import read_split
    from texlens.models.build import build_model
    from texlens.training.build import TrainContext
    from texlens.training.prepare import prepare
    from texlens.training.run import train

    arm, seed, console = options.arm, options.seed, Console(stderr=True)
    stage = folder / f"{arm}-{seed}.stage"
    config = build_config(settings_of(folder, arm, seed, options))
    prepared = prepare(config, console)
    run = RunFolder.create(Path(config.output), config.name)
    ready = time.monotonic()
    training = train(TrainContext(config, prepared, run, console))
    trained = time.monotonic()
    stage.write_text("reads")
    samples = list(read_split(config.data, "test"))
    samples = [*samples[:2], *samples[-2:]] if options.tiny else samples
    history = run.history()
    use = [row["expert_use"] for row in history if "expert_use" in row]
    model = build_model(prepared.base, config.model)
    base = _read(model, prepared.base.processor, samples, config) if (arm, seed) == ("lora", SEEDS[0]) else None
    adapted = load_adapter(model, run.adapter, fingerprint=prepared.base.fingerprint).eval()
    predictions = _read(adapted, prepared.base.processor, samples, config)
    result = {
        "arm": arm,
        "seed": seed,
        "parameters": prepared.plan.trainable,
        "training": training,
        "engine": run.manifest["engine"],
        "loss": [row["loss"] for row in history if "loss" in row],
        "expert_use": use[-1] if use else None,
        "predictions": predictions,
        "base_predictions": base,
        "seconds": {
            "to start": round(ready - began, 1),
            "to train": round(trained - ready, 1),
            "to read": round(time.monotonic() - trained, 1),
        },
    }
    (folder / f"{arm}-{seed}.json").write_text(json.dumps(result))


def _read(model, processor, samples, config) -> dict[str, tuple[str, str]]:
    from texlens.inference.open import wrap_model

    limit = config.evaluate.max_new_tokens
    loaded = wrap_model(model, processor, prompt=config.data.prompt, max_new_tokens=limit)
    predictions = loaded.generate(samples, batch_size=READ_AT_ONCE)
    return {prediction.id: (prediction.reference, prediction.text) for prediction in predictions}


# The summary ----------------------------------------------------------------------------------------------------------


def summarize(arms: list[dict], rows: dict, options: argparse.Namespace) -> dict:
    import torch

    from texlens.core.environment import describe_environment
    from texlens.evaluation.expert_utilization import dead_experts

    scored = {(result["arm"], result["seed"]): row_scores(result["predictions"]) for result in arms}
    base = next((result["base_predictions"] for result in arms if result["base_predictions"]), {})
    mixed = [result for result in arms if result["expert_use"]]
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
        "settings": {arm: settings_of(Path("DATA"), arm, 0, options) for arm in ARMS},
        "parameters": {result["arm"]: result["parameters"] for result in arms},
        "scores": scores_table(scored, row_scores(base)),
        "paired": paired(scored),
        "engine": {f"{result['arm']}-{result['seed']}": result["engine"] for result in arms},
        "seconds": {f"{result['arm']}-{result['seed']}": result["seconds"] for result in arms},
        "final_loss": {f"{result['arm']}-{result['seed']}": result["loss"][-1] for result in arms},
        "dead_experts": {f"seed {result['seed']}": dead_experts(result["expert_use"]) for result in mixed},
        "expert_use": {f"seed {result['seed']}": result["expert_use"] for result in mixed},
    }


def row_scores(predictions: dict[str, tuple[str, str]]) -> dict[str, dict[str, float]]:
    """Of each row: exact match after canonical spacing, and 1 minus the normalized edit distance."""
    from rapidfuzz.distance import Levenshtein

    from texlens.latex.parse.tokens import canonical_spacing

    scores = {}
    for name, (reference, text) in predictions.items():
        reference, text = canonical_spacing(reference), canonical_spacing(text)
        similar = Levenshtein.normalized_similarity(reference, text)
        scores[name] = {"exact_match": float(reference == text), "edit_similarity": similar}
    return scores


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
            means = {arm: round(sum(values) / len(values), 5) if values else None for arm, values in seeds.items()}
            table[task][metric] = {"base": _mean(base, task, metric), **means, "seeds": seeds}
    return table


def _mean(rows: dict, task: str, metric: str) -> float:
    names = _of(task, rows)
    return round(sum(rows[name][metric] for name in names) / max(len(names), 1), 5)


def paired(scored: dict) -> dict:
    """MoE-LoRA minus LoRA with a 95% interval: the rows' differences, averaged over the seeds that both arms ended,
    resampled."""
    import numpy as np

    from texlens.metrics.statistics import percentile_interval, resampled_sums

    intervals: dict = {}
    seeds = [seed for seed in SEEDS if all((arm, seed) in scored for arm in ARMS)]
    if not seeds:
        return {}
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
            intervals.setdefault(task, {})[metric] = {
                **interval.to_json(),
                "seeds": [round(float(value), 5) for value in by_seed.mean(1)],
                "standard_error_of_seeds": standard_error(by_seed.mean(1).tolist()),
            }
    return intervals


def standard_error(values: list[float]) -> float | None:
    return round(statistics.stdev(values) / math.sqrt(len(values)), 5) if len(values) > 1 else None


if __name__ == "__main__":
    main()
