"""How many corrections buy how many points: a simulated user corrects real handwriting whose labels are known.

A reader that learned synthetic handwriting (the recipe of `make demo`) reads a folder of real formulas. The user
corrects them in the order of `texlens learn`, and after each number of corrections a round is trained from the reader
that stands, as the command does it. Every reader is then measured on other rows that no part of the loop sees.

    python benchmarks/learn_from_corrections.py CROHME --out build/learn --seeds 0 1 2 --orders doubt random

CROHME is a folder of parquet files with the columns image and text. Rows, and weights trained on them, stay in --out;
only `curve.json` in it goes elsewhere. Stages that are done are not repeated: it may be stopped and started at will.
Seeds and orders run side by side with --jobs, or as processes of their own with the same --out. `curve.json` holds
every seed and order that is in --out, and with --merge those of other such folders:

    python benchmarks/learn_from_corrections.py --out build/learn --merge other/learn

`--plot curve.svg` draws it.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console

from texlens.config.load import load_config
from texlens.core.environment import describe_environment
from texlens.core.files import write_json, write_text
from texlens.core.locks import wait_for_lock
from texlens.core.run_folder import MANIFEST, RunFolder
from texlens.data.load import Rows, load_split
from texlens.evaluation.comparison import compare
from texlens.inference.open import open_model
from texlens.latex.parse.tokens import tokenize
from texlens.metrics.prediction import Prediction
from texlens.metrics.registry import run_metrics
from texlens.metrics.statistics import mcnemar_exact
from texlens.workflows.learn.corrections import correct
from texlens.workflows.learn.queue import QueuedImage
from texlens.workflows.learn.round import read_result
from texlens.workflows.learn.session import LearnSession
from texlens.workflows.train_run import resume_run, start_run

METRICS = ("exact_match", "exact_match_canonical", "edit_similarity")
RIGHT = "exact_match_canonical"
MAX_TOKENS = 40
SETTINGS = ("images", "test", "rehearsal", "corrections", "overrides")
"""Arguments that change what is measured."""


def main() -> None:
    arguments = command_line()
    if arguments.merge is None:
        _measure(arguments)
    summary = _summary([arguments.out, *(arguments.merge or [])])
    write_json(arguments.out / "curve.json", summary)
    if arguments.plot:
        _plot(summary["orders"], arguments.plot)
    for order, points in summary["orders"].items():
        for point in points:
            low, high = point["interval"]
            print(f"{order}: {point['corrections']} corrections: {point['value']:.1%} ({low:.1%} to {high:.1%})")


def command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", nargs="?", help="a folder of parquet files with real handwriting")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="each draws a folder and a test")
    parser.add_argument("--orders", choices=["doubt", "random"], nargs="+", default=["doubt"])
    parser.add_argument("--corrections", type=int, nargs="+", default=[50, 100, 200, 400])
    parser.add_argument("--images", type=int, default=600, help="in the folder")
    parser.add_argument("--test", type=int, default=300, help="rows outside of the loop")
    parser.add_argument("--rehearsal", type=int, default=100, help="rows of the old kind in each round")
    parser.add_argument("--jobs", type=int, default=1, help="processes side by side")
    parser.add_argument("--set", action="append", default=[], dest="overrides", help="a setting of the rounds")
    parser.add_argument("--merge", type=Path, nargs="*", help="run nothing; join what is in --out and in these folders")
    parser.add_argument("--plot", type=Path, help="an SVG file of the curve")
    arguments = parser.parse_args()
    if arguments.data is None and arguments.merge is None:
        parser.error("name the folder of data, or --merge")
    return arguments


def _measure(arguments: argparse.Namespace) -> None:
    arguments.out.mkdir(parents=True, exist_ok=True)
    console = Console()
    start = _start(arguments.out, console)
    if len(arguments.seeds) * len(arguments.orders) > 1:
        _side_by_side(arguments)
    else:
        _run_seed(arguments, start, console)


def _start(out: Path, console: Console) -> Path:
    """The reader of synthetic handwriting, trained once for all seeds; other processes wait for it."""
    run = out / "start"
    with (out / "start.lock").open("w") as lock:
        wait_for_lock(lock)
        if not (run / MANIFEST).is_file():
            start_run(load_config("nano_latex-ocr_lora", [f"output={out}", "name=start"]), console=console)
        elif RunFolder(run).manifest.get("state") != "trained":
            resume_run(run, console=console)
    return run


def _side_by_side(arguments: argparse.Namespace) -> None:
    """A process for each seed and order, `--jobs` at a time.

    Raises:
        SystemExit: one of them failed; the others were finished.
    """
    waiting = [(seed, order) for order in arguments.orders for seed in arguments.seeds]
    threads = str(max(1, (os.cpu_count() or 1) // arguments.jobs))
    running: list[subprocess.Popen] = []
    failed = []
    while waiting or running:
        while waiting and len(running) < arguments.jobs:
            seed, order = waiting.pop(0)
            command = [sys.executable, __file__, arguments.data, "--out", str(arguments.out)]
            command += ["--seeds", str(seed), "--orders", order, "--images", str(arguments.images)]
            command += [
                "--test",
                str(arguments.test),
                "--rehearsal",
                str(arguments.rehearsal),
                "--corrections",
                *map(str, arguments.corrections),
            ]
            command += [part for override in arguments.overrides for part in ("--set", override)]
            log = (arguments.out / f"log.{seed}.{order}.txt").open("a")
            environment = {**os.environ, "OMP_NUM_THREADS": threads}
            running.append(subprocess.Popen(command, stdout=log, stderr=log, env=environment))
        time.sleep(1)
        failed += [process.args for process in running if process.poll()]
        running = [process for process in running if process.poll() is None]
    if failed:
        raise SystemExit(f"failed, see log.*.txt in {arguments.out}: {failed}")


def _run_seed(arguments: argparse.Namespace, start: Path, console: Console) -> None:
    seed, order = arguments.seeds[0], arguments.orders[0]
    out: Path = arguments.out / f"seed-{seed}-{order}"
    _keep_settings(out, arguments)
    folder_rows, test = drawn_rows(arguments, seed)
    labels = _write_images(out / "images", folder_rows)
    session = LearnSession(out / "images", model=str(start), console=console)
    predictions = {0: _measured(out / "test.0.jsonl", str(start), test)}
    before = predictions[0]
    for number, corrections in enumerate(arguments.corrections, 1):
        folder = session.folder.round_folder(number)
        if number > len(session.state.rounds):
            began = time.monotonic()
            session.read()
            console.print(f"read in {time.monotonic() - began:.0f} s")
            _correct(session, labels, corrections, order)
            session.train(rehearsal=arguments.rehearsal, overrides=arguments.overrides)
            console.print(f"{corrections} corrections: {time.monotonic() - began:.0f} s")
        result = read_result(folder)
        assert result is not None
        console.print(f"{corrections} corrections: {result['sentence']}")
        if result["kept"]:
            before = _measured(out / f"test.{corrections}.jsonl", str(folder / "run"), test)
        predictions[corrections] = before
        write_json(out / "points.json", _points(predictions, session))


def _keep_settings(out: Path, arguments: argparse.Namespace) -> None:
    """
    Raises:
        SystemExit: the folder was begun with other ones, which would mix two measurements.
    """
    settings = {name: getattr(arguments, name) for name in SETTINGS}
    file = out / "settings.json"
    if not file.is_file():
        write_json(file, settings)
    elif (begun := json.loads(file.read_text())) != settings:
        raise SystemExit(f"{out}: begun with {begun}, not with {settings}; name another --out")


def drawn_rows(arguments: argparse.Namespace, seed: int) -> tuple[Rows, Rows]:
    """Rows of the folder and rows of the test; no label is in both."""
    rows = load_split(arguments.data, split="train")
    labels: dict[str, list[int]] = {}
    for index, text in enumerate(rows.texts()):
        if len(tokenize(text)) <= MAX_TOKENS:
            labels.setdefault("".join(text.split()), []).append(index)
    order = sorted(labels)
    random.Random(seed).shuffle(order)
    drawn = [index for label in order for index in labels[label]]
    folder = drawn[: arguments.images]
    in_folder = {"".join(rows.text(index).split()) for index in folder}
    test = [index for index in drawn[len(folder) :] if "".join(rows.text(index).split()) not in in_folder]
    return rows.take(folder), rows.take(test[: arguments.test])


def _write_images(folder: Path, rows: Rows) -> dict[str, str]:
    """Labels by the images' names."""
    folder.mkdir(exist_ok=True)
    labels = {}
    for number, sample in enumerate(rows):
        name = f"{number:04d}.png"
        labels[name] = sample.text
        if not (folder / name).exists():
            (folder / name).write_bytes(sample.image.encoded())
    return labels


def _correct(session: LearnSession, labels: dict[str, str], total: int, order: str) -> None:
    """Corrections in the order of the queue until there are `total`."""
    queue = session.queue() if order == "doubt" else _at_random(session.queue())
    log = session.folder.corrections
    for each in queue[: max(0, total - len(session.corrections().done))]:
        correct(log, each.image, labels[each.image.name], reading=each.reading.text, who="simulated")


def _at_random(queue: list[QueuedImage]) -> list[QueuedImage]:
    """The same positions of held-out images, the others in an order that doubt has no part in."""
    others = sorted((each for each in queue if not each.held_out), key=lambda each: each.image.key)
    return [each if each.held_out else others.pop() for each in queue]


def _measured(path: Path, model: str, test: Rows) -> list[Prediction]:
    if not path.is_file():
        read = open_model(model).read(list(test), batch_size=16)
        write_text(path, "".join(json.dumps(each.to_row()) + "\n" for each in read))
    return [Prediction.from_row(json.loads(line)) for line in path.read_text().split("\n") if line]


def _points(predictions: dict[int, list[Prediction]], session: LearnSession) -> list[dict]:
    comparison = compare({str(count): rows for count, rows in predictions.items()}, metrics=run_metrics(METRICS))
    right = {name: [row.values[RIGHT] == 1 for row in rows] for name, rows in comparison.row_scores.items()}
    points = []
    for number, (name, scores) in enumerate(comparison.systems.items()):
        pairs = list(zip(right["0"], right[name], strict=True))
        gained, lost = pairs.count((False, True)), pairs.count((True, False))
        result = session.state.rounds[number - 1] if number else None
        points.append(
            {
                "corrections": int(name),
                "rows": comparison.rows,
                "right": right[name],
                **{metric: scores.values[metric].to_json() for metric in METRICS[1:]},
                "gained": gained,
                "lost": lost,
                "p_value": mcnemar_exact(gained, lost),
                "kept": result["kept"] if result else None,
                "round": result["sentence"] if result else None,
            }
        )
    return points


def _summary(folders: list[Path]) -> dict:
    """
    Raises:
        SystemExit: no points there, the same seed and order twice, or seeds that were measured with other settings.
    """
    parts: dict[tuple[str, int], list[dict]] = {}
    settings: dict[str, dict] = {}
    for file in sorted(file for folder in folders for file in folder.glob("seed-*-*/points.json")):
        _, seed, order = file.parent.name.split("-")
        if (order, int(seed)) in parts:
            raise SystemExit(f"{file}: this seed and order are in another folder too")
        parts[order, int(seed)] = json.loads(file.read_text())
        settings[str(file.parent)] = json.loads((file.parent / "settings.json").read_text())
    if len({json.dumps(each, sort_keys=True) for each in settings.values()}) != 1:
        raise SystemExit(f"no points, or points of different settings: {settings}")
    orders = sorted({order for order, _ in parts})
    return {
        "what": "simulated user on real handwriting: canonical exact match on rows outside of the loop",
        "date": str(date.today()),
        "command": "python benchmarks/learn_from_corrections.py " + " ".join(sys.argv[1:]),
        "environment": describe_environment(),
        **next(iter(settings.values())),
        "seeds": {order: [seed for name, seed in sorted(parts) if name == order] for order in orders},
        "orders": {order: _joined({key: part for key, part in parts.items() if key[0] == order}) for order in orders},
    }


def _joined(seeds: dict[tuple[str, int], list[dict]]) -> list[dict]:
    """Points that every seed has; the interval is of rows drawn again within each seed (1,000 times, 95%)."""
    if len({len(part) for part in seeds.values()}) > 1:
        counts = {f"{order} {seed}": len(part) for (order, seed), part in seeds.items()}
        print(f"note: points that not every seed has are left out: {counts}")
    points = []
    for parts in zip(*seeds.values(), strict=False):
        right = [np.array(part["right"], float) for part in parts]
        generator = np.random.default_rng(0)
        drawn = [[generator.choice(rows, len(rows)).mean() for rows in right] for _ in range(1_000)]
        low, high = np.percentile(np.mean(drawn, axis=1), [2.5, 97.5])
        points.append(
            {
                "corrections": parts[0]["corrections"],
                "rows": sum(part["rows"] for part in parts),
                "value": round(float(np.mean([rows.mean() for rows in right])), 4),
                "interval": [round(float(low), 4), round(float(high), 4)],
                "by_seed": [
                    {"seed": seed, **{name: value for name, value in part.items() if name != "right"}}
                    for (_, seed), part in zip(seeds, parts, strict=True)
                ],
            }
        )
    return points


def _plot(orders: dict[str, list[dict]], path: Path) -> None:
    """Formulas read right (percent, with intervals) over corrections, a line per order; the same file each time."""
    figure, axes = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
    for shift, (order, points) in enumerate(orders.items()):
        x = [point["corrections"] + 4 * shift for point in points]
        y = [100 * point["value"] for point in points]
        below = [100 * (point["value"] - point["interval"][0]) for point in points]
        above = [100 * (point["interval"][1] - point["value"]) for point in points]
        axes.errorbar(
            x,
            y,
            [below, above],
            marker="o",
            markersize=4,
            capsize=3,
            label={"doubt": "most doubtful first", "random": "random order"}[order],
        )
    axes.set(xlabel="corrections", ylabel="read right, %", xlim=(-10, None), ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    with plt.rc_context({"svg.hashsalt": "learn", "svg.fonttype": "path"}):
        figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
