"""What auxiliary answers do to reading, at equal time: nano on the handwriting demo, three seeds, with and without.

    python benchmarks/auxiliary_answers.py --work /tmp/auxiliary

Both arms take the same recipe, rate and test rows. The arm with tasks has further questions on its train rows (tree and
counting on every other, correction and spans on every fourth), all in one pack with the row's own; a step of it costs
more, so it takes fewer steps: as many as the plain arm's time allows, by the seconds a step of short runs. A run's
score is kept in --work, so a stopped study goes on where it was. Time is the processor's on a CPU, the wall's on a GPU.

The interval of the difference is a bootstrap over test rows of the mean over seeds.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from rapidfuzz.distance import Levenshtein

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from result import write_result

import texlens
from texlens.cli.data.opening import open_splits
from texlens.data.convert import write_parts
from texlens.data.load import load_split
from texlens.latex.parse.tokens import tokenize
from texlens.synthesis.tasks.add import TaskPlan, task_parts

TASKS = {"tree": 0.5, "counting": 0.5, "correction": 0.25, "spans": 0.25}
RECIPE = "nano_latex-ocr_lora"
PROBE_STEPS = 6
clock = time.perf_counter if torch.cuda.is_available() else time.process_time


def main() -> None:
    options = _options()
    options.work.mkdir(parents=True, exist_ok=True)
    data = {"plain": "demo", "tasks": str(_with_tasks(options.work / "data"))}
    probes = {
        arm: _stored(options.work / f"probe-{arm}.json", lambda arm=arm: _probe(options, data, arm)) for arm in data
    }
    seconds = {arm: probe["train_s"] / PROBE_STEPS for arm, probe in probes.items()}
    steps = {"plain": options.steps, "tasks": round(options.steps * seconds["plain"] / seconds["tasks"])}
    runs: dict[str, list[dict]] = {arm: [] for arm in data}
    for seed in range(options.seeds):
        for arm in data:
            file = options.work / f"{arm}-{options.steps}-{seed}.json"
            run = _stored(file, lambda arm=arm, seed=seed: _measured(options, data, arm, steps[arm], seed))
            runs[arm].append(run)
            print(arm, seed, {name: run[name] for name in ("steps", "train_s", "exact", "similarity")}, flush=True)
    figures = {
        "model": "nano, recipe nano_latex-ocr_lora",
        "tasks": TASKS,
        "rows": options.rows,
        "seconds_a_step": {arm: round(value, 2) for arm, value in seconds.items()},
        "runs": {
            arm: [{**run, "row_exact": None, "row_similarity": None} for run in each] for arm, each in runs.items()
        },
        "difference": {name: _difference(runs, f"row_{name}") for name in ("exact", "similarity")},
    }
    print(json.dumps(figures["difference"]))
    write_result(
        options.output, "auxiliary answers", f"python {' '.join(sys.argv)}", ("torch", "transformers"), figures
    )


def _with_tasks(folder: Path) -> Path:
    parts, _ = task_parts(open_splits("demo"), TaskPlan(TASKS, scored=0))
    write_parts(folder, parts, {"command": "auxiliary answers", "tasks": TASKS})
    return folder


def _probe(options, data: dict[str, str], arm: str) -> dict:
    """Processor seconds of a few steps, less those of half as many, so that what a run costs once does not count."""
    spent = []
    for steps in (PROBE_STEPS, 2 * PROBE_STEPS):
        began = clock()
        _train(options, data[arm], f"probe-{arm}-{steps}", steps, seed=9)
        spent.append(clock() - began)
    return {"train_s": spent[1] - spent[0]}


def _measured(options, data: dict[str, str], arm: str, steps: int, seed: int) -> dict:
    began = clock()
    run = _train(options, data[arm], f"{arm}-{options.steps}-{seed}", steps, seed)
    spent = clock() - began
    rows = load_split("demo", split="test").first(options.rows)
    predictions = texlens.read([row.image.load() for row in rows], run, batch_size=26, max_new_tokens=100)
    pairs = [(tokenize(row.text), tokenize(read.text)) for row, read in zip(rows, predictions, strict=True)]
    exact = [float(left == right) for left, right in pairs]
    similarity = [Levenshtein.normalized_similarity(left, right) for left, right in pairs]
    return {
        "steps": steps,
        "seed": seed,
        "train_s": round(spent, 1),
        "exact": round(float(np.mean(exact)), 4),
        "similarity": round(float(np.mean(similarity)), 4),
        "row_exact": exact,
        "row_similarity": similarity,
    }


def _train(options, data: str, name: str, steps: int, seed: int) -> Path:
    settings = {"data.path": data, "data.splits.validation": None, "train.steps": steps, "train.seed": seed}
    places = {"output": str(options.work / "runs"), "name": name}
    return texlens.train(RECIPE, {**settings, **places})


def _difference(runs: dict[str, list[dict]], name: str) -> dict:
    """Tasks minus plain: the mean over seeds, and its bootstrap interval over test rows."""
    by_row = np.mean([run[name] for run in runs["tasks"]], 0) - np.mean([run[name] for run in runs["plain"]], 0)
    drawn = np.random.default_rng(0).integers(0, len(by_row), (10_000, len(by_row)))
    low, high = np.quantile(by_row[drawn].mean(1), [0.025, 0.975])
    by_seed = [float(np.mean(t[name]) - np.mean(p[name])) for t, p in zip(runs["tasks"], runs["plain"], strict=True)]
    return {
        "mean": round(float(by_row.mean()), 4),
        "interval_95": [round(float(low), 4), round(float(high), 4)],
        "by_seed": [round(value, 4) for value in by_seed],
    }


def _stored(file: Path, make) -> dict:
    if not file.exists():
        file.write_text(json.dumps(make()))
    return json.loads(file.read_text())


def _options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=130)
    return parser.parse_args()


if __name__ == "__main__":
    main()
