"""nano after supervised fine-tuning: GRPO against supervised fine-tuning that goes on for as long, three seeds.

    python benchmarks/grpo_nano.py --choose --minutes 1 --work build/grpo            # rates, on validation rows
    python benchmarks/grpo_nano.py --minutes 3 --work build/grpo --output benchmarks/results/grpo-nano_h200_DATE.json
    python benchmarks/grpo_nano.py --theme handwriting-hard --choose --minutes 1 --work build/grpo
    python benchmarks/grpo_nano.py --theme handwriting-hard --minutes 3 --work build/grpo --output RESULT.json
    python benchmarks/grpo_nano.py --theme printed …                                 # both calls alike
    python benchmarks/grpo_nano.py --smoke --work /tmp/grpo-nano     # two steps each and 12 rows: only whether it runs

Both arms go on from the same adapter with the same rows, for the same minutes of training at the same time (all runs
share the GPU), and read 500 generated rows a seed (`grpo_rows.py`). Each arm has the rate of its candidates that read
most validation rows after a shorter training with another seed; test rows are read once, at the end.
Exact match is by canonical form. A seed's p is McNemar's exact test; that of all seeds is the same over all their rows,
which are different ones; the interval is a bootstrap over them. On an H200 the first call took under 2 minutes and
the second 4, rows, fine-tuning and reading included. What is done is not done again, so a call that was cut
can be repeated: a run that was cut begins again.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from grpo_rows import ROOT, THEMES, Theme, data_of, write_rows

from texlens.data.load import load_split
from texlens.inference.decoding.sampling import Sampling
from texlens.inference.open import open_model
from texlens.metrics.scored_prediction import ScoredPrediction
from texlens.metrics.statistics import mcnemar_exact

ARMS = ("sft", "continued", "grpo")
CANDIDATES = {"continued": (1e-4, 5e-4, 2e-3), "grpo": (1e-4, 3e-4, 1e-3)}
CHOOSING_SEED = 9
WORKERS, REWARD_WORKERS = 2, 4
"""Of a run: up to twelve run at once on 16 cores."""
THREADS = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
"""Of each process, since many run at once."""
SFT_OPTIMIZER = {"learning_rate": 2e-3, "schedule": "cosine", "warmup_ratio": 0.05}
"""As in the recipe."""
TRAIN = [sys.executable, "-m", "texlens", "train"]
REWARDS = {"exact": 1.0, "cdm_f1": 0.5, "edit_similarity": 0.5}
MEASURED = (
    "reward",
    "reward_spread",
    "flat_groups",
    "score_exact",
    "entropy",
    "kl",
    "answer_tokens",
    "step_s",
    "reading_s",
)


@dataclass(frozen=True)
class Study:
    """Where a theme's rows and runs are, and how long and on what runs are trained."""

    options: argparse.Namespace
    theme: Theme
    work: Path

    @property
    def data(self) -> Path:
        return self.work / "data"

    def seed_folder(self, seed: int) -> Path:
        return self.work / f"seed-{seed}"

    def run_file(self, name: str, seed: int, rate: float | None = None) -> dict:
        """Of an arm; `name` is the arm's, or begins with it."""
        arm, options = name.split("-")[0], self.options
        train = {"seed": seed, "batch_size": 8, "workers": WORKERS}
        train |= {"logging": {"every_steps": 10}, "checkpoints": {"every_steps": 10**6}}
        if arm == "sft":
            train |= {"steps": 2} if options.smoke else {"epochs": 2}
            train["optimizer"] = SFT_OPTIMIZER
        else:
            train |= {"steps": 2} if options.smoke else {"steps": 10**6, "minutes": options.minutes}
            train["optimizer"] = {"learning_rate": rate, "schedule": "constant"}
        if arm == "grpo":
            train["objective"] = self.objective()
            train["batch_size"] = 2 if options.smoke else options.prompts
        adapter = {"kind": "lora", "rank": 16, "alpha": 32, "targets": ["all-linear"]}
        folder, data = self.seed_folder(seed), data_of(self.theme, self.data)
        return {
            "name": name,
            "output": str(folder),
            "model": {"path": "nano"},
            "data": {"path": data["first" if arm == "sft" else "more"], "splits": {"validation": None, "test": None}},
            "adapter": adapter | ({} if arm == "sft" else {"from": str(folder / "sft")}),
            "train": train,
        }

    def objective(self) -> dict:
        options = self.options
        return {
            "kind": "grpo",
            "answers": 4 if options.smoke else options.answers,
            "max_new_tokens": 16 if options.smoke else self.theme.max_new_tokens,
            "rewards": REWARDS,
            "updates": 1 if options.smoke else options.updates,
            "reward_workers": 1 if options.smoke else REWARD_WORKERS,
        }

    def train(self, jobs: Sequence[tuple[str, int, float | None]]) -> None:
        """Runs by name, seed and rate, all at once, each a process; one that was cut before is begun again."""
        side_by_side([lambda job=job: self._train(*job) for job in jobs])

    def _train(self, name: str, seed: int, rate: float | None) -> None:
        folder = self.seed_folder(seed)
        run, file, log = folder / name, folder / f"{name}.json", folder / f"{name}.log"
        if (run / "run.json").exists() and json.loads((run / "run.json").read_text())["state"] == "trained":
            return
        shutil.rmtree(run, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(self.run_file(name, seed, rate)))
        process([*TRAIN, str(file), "--no-compare", "--no-calibrate"], log)

    def read(self, jobs: Sequence[tuple[str, int, str]]) -> None:
        """Scores of runs on folders of rows, all at once; they are kept as files."""
        side_by_side([lambda job=job: self._read(*job) for job in jobs])

    def _read(self, name: str, seed: int, rows: str) -> None:
        if not self._scores(name, seed, rows).is_file():
            places = [self.seed_folder(seed) / name, self.data / rows, self._scores(name, seed, rows)]
            arguments = [*map(str, places), str(self.theme.max_new_tokens)]
            process([sys.executable, str(Path(__file__)), "--read", *arguments], self.seed_folder(seed) / "read.log")

    def _scores(self, name: str, seed: int, rows: str) -> Path:
        return self.seed_folder(seed) / f"{name}.{rows}.json"

    def scores(self, name: str, seed: int, rows: str) -> dict:
        return json.loads(self._scores(name, seed, rows).read_text())


def process(command: Sequence[str], log: Path) -> None:
    """Raises SystemExit with the end of its output if it fails."""
    with log.open("a") as file:
        done = subprocess.run(
            command, stdout=file, stderr=file, env={**os.environ, **THREADS, "PYTHONPATH": str(ROOT / "src")}
        )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{log.read_text()[-3000:]}")


def side_by_side(jobs: Sequence[Callable[[], None]]) -> None:
    """The first failure is raised when all have ended."""
    with ThreadPoolExecutor(max(1, len(jobs))) as pool:
        for done in [pool.submit(job) for job in jobs]:
            done.result()


def read(run: Path, rows: Path, file: Path, max_new_tokens: int) -> None:
    """A run's scores on a folder of rows, into a file."""
    samples = list(load_split(str(rows)))
    sampling = Sampling(max_new_tokens)
    predictions = open_model(run, checkpoint="latest").read(samples, sampling=sampling, batch_size=64)
    scored = [ScoredPrediction.of(prediction) for prediction in predictions]
    values = {
        "canonical": [bool(row.is_canonically_exact) for row in scored],
        "exact": [bool(row.is_exact) for row in scored],
        "cdm_f1": [round(row.cdm.f1, 4) for row in scored],
    }
    file.write_text(json.dumps(values))


def choose(study: Study) -> None:
    """Rates by arm, and what each candidate read, in chosen.json."""
    seed = CHOOSING_SEED
    names = {f"{arm}-{rate:g}": (arm, rate) for arm, rates in CANDIDATES.items() for rate in rates}
    study.train([("sft", seed, None)])
    study.train([(name, seed, rate) for name, (_, rate) in names.items()])
    study.read([(name, seed, "validation") for name in ("sft", *names)])
    read = {name: study.scores(name, seed, "validation") for name in ("sft", *names)}
    means = {name: {kind: _mean(values) for kind, values in scores.items()} for name, scores in read.items()}
    best = {
        arm: max(
            (mean["canonical"], mean["cdm_f1"], names[name][1])
            for name, mean in means.items()
            if name in names and names[name][0] == arm
        )[2]
        for arm in CANDIDATES
    }
    chosen = {
        "minutes": study.options.minutes,
        "rows": len(read["sft"]["canonical"]),
        "rates": best,
        "validation": means,
        "runs": {name: history(study.seed_folder(seed) / name) for name in names},
    }
    (study.work / "chosen.json").write_text(json.dumps(chosen, indent=1) + "\n")
    print(json.dumps(chosen, indent=1))


def measure(study: Study, chosen: dict) -> None:
    options = study.options
    study.train([("sft", seed, None) for seed in options.seeds])
    study.train([(arm, seed, chosen["rates"][arm]) for seed in options.seeds for arm in ARMS[1:]])
    study.read([(arm, seed, f"test-{seed}") for seed in options.seeds for arm in ARMS])
    seeds, over_continued, over_sft = [], [], []
    for seed in options.seeds:
        scores = {arm: study.scores(arm, seed, f"test-{seed}") for arm in ARMS}
        exact = {arm: np.array(score["canonical"], float) for arm, score in scores.items()}
        over_continued.append(exact["grpo"] - exact["continued"])
        over_sft.append(exact["grpo"] - exact["sft"])
        row = {"seed": seed, "sft": round(100 * float(exact["sft"].mean()), 2)}
        row |= compared(scores["continued"], scores["grpo"])
        seeds.append(row | {"runs": {arm: history(study.seed_folder(seed) / arm) for arm in ARMS}})
    better, worse = (sum(row[name] for row in seeds) for name in ("only_grpo", "only_continued"))
    whole = {
        "theme": f"grpo nano, {study.theme.name}",
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {os.cpu_count()} cores",
        "torch": torch.__version__,
        "command": " ".join(["python", *sys.argv]),
        "minutes": options.minutes,
        "rows_a_seed": len(over_continued[0]),
        "points": _points(over_continued),
        "interval_95": interval(np.concatenate(over_continued)),
        "p_all_seeds": float(f"{mcnemar_exact(better, worse):.3g}"),
        "points_over_sft": _points(over_sft),
        "interval_over_sft_95": interval(np.concatenate(over_sft)),
        "seeds": seeds,
        "chosen": chosen,
        "settings": {arm: study.run_file(arm, 0, chosen["rates"].get(arm))["train"] for arm in ARMS},
    }
    text = json.dumps(whole, indent=1) + "\n"
    if options.output:
        options.output.write_text(text)
    print(text)


def compared(left: dict, right: dict) -> dict:
    """Exact match of both by canonical form, in percent, and McNemar's test."""
    pairs = list(zip(left["canonical"], right["canonical"], strict=True))
    better, worse = sum(b and not a for a, b in pairs), sum(a and not b for a, b in pairs)
    return {
        "continued": round(100 * _mean(left["canonical"]), 2),
        "grpo": round(100 * _mean(right["canonical"]), 2),
        "points": round(100 * (better - worse) / len(pairs), 2),
        "only_grpo": better,
        "only_continued": worse,
        "p": float(f"{mcnemar_exact(better, worse):.3g}"),
        "cdm_f1": {"continued": _mean(left["cdm_f1"]), "grpo": _mean(right["cdm_f1"])},
    }


def interval(differences: np.ndarray) -> list[float]:
    """95% of the mean, by a bootstrap over rows, in percent."""
    drawn = np.random.default_rng(0).integers(0, len(differences), (10_000, len(differences)))
    return [round(100 * float(value), 2) for value in np.quantile(differences[drawn].mean(1), [0.025, 0.975])]


def history(run: Path) -> dict:
    """Steps, seconds, and means over the first and the last tenth of what was logged."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    training = json.loads((run / "run.json").read_text())["training"]
    part = max(1, len(lines) // 10)
    ends = {"first_tenth": lines[:part], "last_tenth": lines[-part:]}
    names = ("loss", *(f"objective_{name}" for name in MEASURED))
    return {"steps": training["steps"], "seconds": round(training["seconds"], 1)} | {
        end: {
            name: _mean([row[name] for row in rows if name in row])
            for name in names
            if any(name in row for row in rows)
        }
        for end, rows in ends.items()
    }


def _mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 5)


def _points(differences: Sequence[np.ndarray]) -> float:
    return round(100 * float(np.concatenate(differences).mean()), 2)


def main() -> None:
    if sys.argv[1:2] == ["--read"]:
        read(*map(Path, sys.argv[2:5]), int(sys.argv[5]))
        return
    options = _options()
    theme = THEMES[options.theme]
    study = Study(options, theme, options.work.absolute() / (f"{theme.name}-smoke" if options.smoke else theme.name))
    rows, validation = (12, 8) if options.smoke else (options.rows, options.validation_rows)
    write_rows(theme, study.data, options.seeds, rows, validation)
    if options.choose:
        choose(study)
        return
    file = study.work / "chosen.json"
    if not file.is_file() and not options.smoke:
        raise SystemExit(f"{file} is missing; choose rates first: --choose")
    measure(study, json.loads(file.read_text()) if file.is_file() else {"rates": {"continued": 5e-4, "grpo": 3e-4}})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--theme", choices=THEMES, default="handwriting")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--choose", action="store_true", help="choose rates on validation rows")
    parser.add_argument("--minutes", type=float, default=3.5, help="of training, of each of the two arms")
    parser.add_argument("--rows", type=int, default=500, help="of a seed's test")
    parser.add_argument("--validation-rows", type=int, default=400)
    parser.add_argument("--answers", type=int, default=16)
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--updates", type=int, default=2)
    parser.add_argument("--work", type=Path, default=Path("build/grpo-nano"))
    parser.add_argument("--output", type=Path)
    parser.add_argument("--smoke", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
