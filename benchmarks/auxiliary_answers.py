"""What auxiliary answers do to reading, at equal time: nano on the handwriting demo, three seeds, with and without.

    python benchmarks/auxiliary_answers.py --work /tmp/auxiliary                                    # on a CPU
    python benchmarks/auxiliary_answers.py --work build/aux --steps 165 --rows 260 --side-by-side --probe-steps 100

Both arms take the same recipe, rate and test rows. The arm with tasks has further questions on its train rows (tree and
counting on every other, correction and spans on every fourth), all in one pack with the row's own; a step of it costs
more, so it takes fewer steps: as many as the plain arm's time allows, by the seconds a step of short runs. A run's
score is kept in --work, so a stopped study goes on where it was. Time is the processor's on a CPU, the wall's on a GPU,
where with --side-by-side both short runs, and then all runs, are processes that share it. `training_s` has the mean
wall time of each arm's steps, `train_s` that of all its training: where the former differ by more than a tenth, the
comparison is not at equal time (on a CPU that others use, look at the latter).

The interval of the difference is a bootstrap over test rows of the mean over seeds.
"""

import argparse
import json
import os
import subprocess
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
from texlens.metrics.prediction import Prediction
from texlens.metrics.scored_prediction import ScoredPrediction
from texlens.synthesis.tasks.add import TaskPlan, task_parts

TASKS = {"tree": 0.5, "counting": 0.5, "correction": 0.25, "spans": 0.25}
RECIPE = "nano_latex-ocr_lora"
THREADS = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
clock = time.perf_counter if torch.cuda.is_available() else time.process_time


def main() -> None:
    options = _options()
    options.work = options.work.absolute()
    options.work.mkdir(parents=True, exist_ok=True)
    data = {"plain": "demo", "tasks": str(options.work / "data")}
    if options.job:
        _do(options, data, options.job)
        return
    _with_tasks(options.work / "data")
    _do_all(options, data, [f"probe:{arm}" for arm in data])
    seconds = {arm: _result(options, f"probe:{arm}")["train_s"] / options.probe_steps for arm in data}
    steps = {"plain": options.steps, "tasks": round(options.steps * seconds["plain"] / seconds["tasks"])}
    jobs = {arm: [f"{arm}:{steps[arm]}:{seed}" for seed in range(options.seeds)] for arm in data}
    _do_all(options, data, [jobs[arm][seed] for seed in range(options.seeds) for arm in data])
    runs = {arm: [_result(options, job) for job in jobs[arm]] for arm in data}
    _report(options, seconds, runs)


def _report(options, seconds: dict[str, float], runs: dict[str, list[dict]]) -> None:
    figures = {
        "model": "nano, recipe nano_latex-ocr_lora",
        "tasks": TASKS,
        "rows": options.rows,
        **{
            name: {arm: round(float(np.mean([run[name] for run in each])), 1) for arm, each in runs.items()}
            for name in ("train_s", "training_s")
        },
        "seconds_a_step": {arm: round(value, 4) for arm, value in seconds.items()},
        "runs": {
            arm: [{name: value for name, value in run.items() if not name.startswith("row_")} for run in each]
            for arm, each in runs.items()
        },
        "difference": {name: _difference(runs, f"row_{name}") for name in ("exact", "canonical", "similarity")},
    }
    print(json.dumps(figures, indent=1))
    device = "cpu"
    if torch.cuda.is_available():
        figures |= {"hardware": torch.cuda.get_device_name()}
        device = figures["hardware"].split()[-1].lower()
    command = f"python {' '.join(sys.argv)}"
    packages = ("torch", "transformers")
    write_result(options.output, "auxiliary answers", command, packages, figures, device=device)


def _do_all(options, data: dict[str, str], jobs: list[str]) -> None:
    """Jobs that have no result yet: one after the other, or each in a process, all at once."""
    jobs = [job for job in jobs if not _file(options, job).exists()]
    if not options.side_by_side:
        for job in jobs:
            _do(options, data, job)
        return
    environment = {**os.environ, **THREADS}
    processes = [subprocess.Popen([sys.executable, *sys.argv, "--job", job], env=environment) for job in jobs]
    if failed := [job for job, process in zip(jobs, processes, strict=True) if process.wait()]:
        raise SystemExit(f"these ended with an error: {', '.join(failed)}")


def _do(options, data: dict[str, str], job: str) -> None:
    """`probe:ARM` or `ARM:STEPS:SEED`; what it measured becomes a file."""
    first, *others = job.split(":")
    result = (
        _probe(options, data, others[0]) if first == "probe" else _measured(options, data, first, *map(int, others))
    )
    print(job, {name: value for name, value in result.items() if not name.startswith("row_")}, flush=True)
    _file(options, job).write_text(json.dumps(result))


def _file(options, job: str) -> Path:
    return options.work / f"{job.replace(':', '-')}.json"


def _result(options, job: str) -> dict:
    return json.loads(_file(options, job).read_text())


def _with_tasks(folder: Path) -> None:
    if not folder.exists():
        parts, _ = task_parts(open_splits("demo"), TaskPlan(TASKS, scored=0))
        write_parts(folder, parts, {"command": "auxiliary answers", "tasks": TASKS})


def _probe(options, data: dict[str, str], arm: str) -> dict:
    """Seconds of some steps: those of twice as many less those of as many, after a run that warms up, so that what a
    run or a process costs once is not in them."""
    spent = []
    _train(options, data[arm], f"probe-{arm}-warm", 2, seed=9)
    for steps in (options.probe_steps, 2 * options.probe_steps):
        began = clock()
        _train(options, data[arm], f"probe-{arm}-{steps}", steps, seed=9)
        spent.append(clock() - began)
    return {"train_s": spent[1] - spent[0]}


def _measured(options, data: dict[str, str], arm: str, steps: int, seed: int) -> dict:
    began = clock()
    run = _train(options, data[arm], f"{arm}-{steps}-{seed}", steps, seed)
    spent = clock() - began
    rows = load_split("demo", split="test").first(options.rows)
    predictions = texlens.read([row.image.load() for row in rows], run, batch_size=26, max_new_tokens=100)
    pairs = [(tokenize(row.text), tokenize(read.text)) for row, read in zip(rows, predictions, strict=True)]
    texts = [Prediction(row.id, row.text, read.text) for row, read in zip(rows, predictions, strict=True)]
    canonical = [float(ScoredPrediction.of(prediction).is_canonically_exact) for prediction in texts]
    exact = [float(left == right) for left, right in pairs]
    similarity = [Levenshtein.normalized_similarity(left, right) for left, right in pairs]
    return {
        "steps": steps,
        "seed": seed,
        "train_s": round(spent, 1),
        "training_s": json.loads((run / "run.json").read_text())["training"]["seconds"],
        "exact": round(float(np.mean(exact)), 4),
        "canonical": round(float(np.mean(canonical)), 4),
        "similarity": round(float(np.mean(similarity)), 4),
        "row_exact": exact,
        "row_canonical": canonical,
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


def _options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=130)
    parser.add_argument("--probe-steps", type=int, default=30)
    parser.add_argument("--side-by-side", action="store_true", help="runs as processes, all at once")
    parser.add_argument("--job", help="one run in this process: probe:ARM or ARM:STEPS:SEED")
    return parser.parse_args()


if __name__ == "__main__":
    main()
