"""nano on handwriting: after supervised fine-tuning, GRPO against as many more minutes of supervised fine-tuning.

    python benchmarks/grpo_nano.py --seed 0 --minutes 2.5        # one seed, under 8 minutes on one H200
    python benchmarks/grpo_nano.py --summary                     # all seeds that are there
    python benchmarks/grpo_nano.py --smoke                       # two steps each and 12 rows: only whether it runs

Both go on from the same adapter, on the same demo rows, and are read on 500 generated rows of handwriting (labels
recombined from the demo's, none of which is a demo label). McNemar's exact test compares them. Stages that are done are
not done again, so a call that was cut can be repeated. Minutes are of training, without loading and reading.
"""

import argparse
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import torch

from texlens.data.load import load_split
from texlens.data.sample import Sample
from texlens.inference.open import open_model
from texlens.metrics.scored_prediction import ScoredPrediction
from texlens.metrics.statistics import mcnemar_exact
from texlens.synthesis import RowRecipe, synthesize

ROOT = Path(__file__).parents[1]
TEST_SEED = 20261130
MORE = 40
"""Rows that are generated beyond those read, in the place of labels that the demo has."""
PROMPTS = 16
SFT_OPTIMIZER = {"learning_rate": 2e-3, "schedule": "cosine", "warmup_ratio": 0.05}
"""As in the recipe."""


def run_file(name: str, work: Path, seed: int, train: dict, adapter_from: str | None = None) -> dict:
    adapter = {"kind": "lora", "rank": 16, "alpha": 32, "targets": ["all-linear"]}
    return {
        "name": name,
        "output": str(work),
        "model": {"path": "nano"},
        "data": {"path": "demo", "splits": {"validation": None, "test": None}},
        "adapter": {**adapter, **({"from": adapter_from} if adapter_from else {})},
        "train": {"seed": seed, "batch_size": 8, "logging": {"every_steps": 10}, **train},
    }


def stages(arguments: argparse.Namespace, work: Path) -> dict[str, dict]:
    """Run files by stage, in order."""
    seed, small = arguments.seed, arguments.smoke
    until = {"steps": 2} if small else {"steps": 1_000_000, "minutes": arguments.minutes}
    grpo = {
        "kind": "grpo",
        "answers": 4 if small else arguments.answers,
        "max_new_tokens": 16 if small else 96,
        "rewards": {"exact": 1.0, "cdm_f1": 0.5, "edit_similarity": 0.5},
    }

    def rate(value: float) -> dict:
        return {"learning_rate": value, "schedule": "constant"}

    start = str(work / "sft")
    first = {"steps": 2} if small else {"epochs": 2}
    return {
        "sft": run_file("sft", work, seed, {**first, "optimizer": SFT_OPTIMIZER}),
        "continued": run_file("continued", work, seed, {**until, "optimizer": rate(arguments.sft_rate)}, start),
        "grpo": run_file(
            "grpo",
            work,
            seed,
            {
                **until,
                "objective": grpo,
                "batch_size": 2 if small else arguments.prompts,
                "optimizer": rate(arguments.grpo_rate),
            },
            start,
        ),
    }


def train(name: str, values: dict, work: Path) -> None:
    if (work / name / "run.json").is_file() and json.loads((work / name / "run.json").read_text())[
        "state"
    ] == "trained":
        return
    work.mkdir(parents=True, exist_ok=True)
    file = work / f"{name}.json"
    file.write_text(json.dumps(values))
    command = [sys.executable, "-m", "texlens", "train", str(file), "--no-compare", "--no-calibrate"]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(ROOT / "src")})


def test_rows(folder: Path, count: int) -> list[Sample]:
    """Generated handwriting whose labels the demo does not have."""
    demo = {split: load_split("demo", split=split).texts() for split in ("train", "validation", "test")}
    labels = tuple(demo["train"])
    recipe = RowRecipe("handwriting", "pieces", min_tokens=3, max_tokens=40, seed=TEST_SEED, labels=labels)
    if not (folder / "texlens-data.json").is_file():
        synthesize(recipe, folder, count + MORE, processes=min(8, os.cpu_count() or 1))
    known = {"".join(text.split()) for texts in demo.values() for text in texts}
    rows = [sample for sample in load_split(str(folder)) if "".join(sample.text.split()) not in known]
    return rows[:count]


def readings(run: Path, rows: list[Sample], file: Path) -> list[dict]:
    if not file.is_file():
        predictions = open_model(run, checkpoint="latest").read(rows, batch_size=64)
        scored = [ScoredPrediction.of(prediction) for prediction in predictions]
        values = [
            {"id": row.prediction.id, "exact": row.is_exact, "canonical": row.is_canonically_exact, "cdm": row.cdm.f1}
            for row in scored
        ]
        file.write_text(json.dumps(values))
    return json.loads(file.read_text())


def compared(left: list[dict], right: list[dict]) -> dict:
    """Exact match of both by canonical form, in percent, and McNemar's test."""
    better = sum(b["canonical"] and not a["canonical"] for a, b in zip(left, right, strict=True))
    worse = sum(a["canonical"] and not b["canonical"] for a, b in zip(left, right, strict=True))
    share = [100 * sum(row["canonical"] for row in rows) / len(rows) for rows in (left, right)]
    return {
        "continued": round(share[0], 2),
        "grpo": round(share[1], 2),
        "points": round(share[1] - share[0], 2),
        "only_grpo": better,
        "only_continued": worse,
        "p": round(mcnemar_exact(better, worse), 5),
        "cdm_f1": [round(sum(row["cdm"] for row in rows) / len(rows), 4) for rows in (left, right)],
    }


def history(run: Path) -> dict:
    """Steps and what the last measurements were."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    training = json.loads((run / "run.json").read_text())["training"]
    keep = (
        "loss",
        "objective_reward",
        "objective_flat_groups",
        "objective_kl",
        "objective_entropy",
        "objective_step_s",
    )
    return {
        "steps": training["steps"],
        "seconds": training["seconds"],
        "first": {name: lines[0][name] for name in keep if name in lines[0]},
        "last": {name: lines[-1][name] for name in keep if name in lines[-1]},
    }


def measure(arguments: argparse.Namespace) -> None:
    work = arguments.work / f"seed-{arguments.seed}{'-smoke' if arguments.smoke else ''}"
    for name, values in stages(arguments, work).items():
        train(name, values, work)
    count = 12 if arguments.smoke else arguments.rows
    rows = test_rows(arguments.work / f"test-{count}", count)
    read = {name: readings(work / name, rows, work / f"{name}.readings.json") for name in ("sft", "continued", "grpo")}
    result = {
        "seed": arguments.seed,
        "minutes": arguments.minutes,
        "rows": len(rows),
        "hardware": torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else f"CPU, {os.cpu_count()} shared cores",
        "date": datetime.now(UTC).date().isoformat(),
        "command": " ".join(["python", *sys.argv]),
        "sft": round(100 * sum(row["canonical"] for row in read["sft"]) / len(rows), 2),
        **compared(read["continued"], read["grpo"]),
        "runs": {name: history(work / name) for name in ("continued", "grpo")},
    }
    (work / "result.json").write_text(json.dumps(result, indent=2))
    print(json.dumps(result, indent=2))


def summary(arguments: argparse.Namespace) -> None:
    """All seeds in one file, with the test over all their rows together."""
    results = [json.loads(file.read_text()) for file in sorted(arguments.work.glob("seed-?/result.json"))]
    better, worse = (sum(result[name] for result in results) for name in ("only_grpo", "only_continued"))
    points = sum(result["points"] for result in results) / len(results)
    whole = {
        "theme": "grpo nano",
        "seeds": results,
        "points": round(points, 2),
        "p_all_seeds": round(mcnemar_exact(better, worse), 6),
    }
    text = json.dumps(whole, indent=2) + "\n"
    if arguments.output:
        arguments.output.write_text(text)
    print(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=2.5)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--answers", type=int, default=8)
    parser.add_argument("--prompts", type=int, default=PROMPTS)
    parser.add_argument("--sft-rate", type=float, default=5e-4)
    parser.add_argument("--grpo-rate", type=float, default=3e-4)
    parser.add_argument("--work", type=Path, default=Path("grpo-nano"))
    parser.add_argument("--output", type=Path)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--summary", action="store_true")
    arguments = parser.parse_args()
    arguments.work = arguments.work.absolute()
    (summary if arguments.summary else measure)(arguments)


if __name__ == "__main__":
    main()
