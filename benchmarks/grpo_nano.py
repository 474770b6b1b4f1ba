"""nano after supervised fine-tuning: GRPO against supervised fine-tuning that goes on for as long, three seeds.

    python benchmarks/grpo_nano.py --choose --minutes 2 --work build/grpo            # settings, on validation rows
    python benchmarks/grpo_nano.py --minutes 3 --work build/grpo --output benchmarks/results/grpo-nano_h200_DATE.json
    python benchmarks/grpo_nano.py --try continued-5e-4 grpo-1e-4 grpo-1e-4-hot --minutes 3 …     # both calls in one
    python benchmarks/grpo_nano.py --theme printed …                                 # all calls alike
    python benchmarks/grpo_nano.py --smoke --work /tmp/grpo-nano     # two steps each and 12 rows: only whether it runs

Both arms go on from the same adapter with the same rows, for the same minutes of training at the same time (all runs
share the GPU), and read 500 generated rows a seed of each set (`grpo_rows.py`). Each arm has those settings of its
candidates that read most validation rows, over all sets, after a shorter training with another seed (`--chosen` names
the file of another theme's choice). With `--try`, all candidates named are trained on every seed, and an arm has those
settings that read most validation rows over all seeds. Test rows are read once, at the end. Exact match is by canonical
form. A seed's p is McNemar's exact test; that of all seeds is the same over all their rows, which are different ones;
the interval is a bootstrap over them. What is done is not done again, so a call that was cut can be repeated: a run
that was cut begins again.
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

CHOOSING_SEED = 9
MARGIN_TOKENS = 48
"""An answer in training is cut here: the longest label of the handwriting has half as many tokens."""
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
class Candidate:
    """Settings of an arm; `augmented` changes the training images of each epoch (`data.augment: formula`)."""

    rate: float
    temperature: float = 1.0
    augmented: bool = False


CANDIDATES: dict[str, dict[str, Candidate]] = {
    "continued": {
        "continued-1e-4": Candidate(1e-4),
        "continued-5e-4": Candidate(5e-4),
        "continued-5e-4-augmented": Candidate(5e-4, augmented=True),
    },
    "grpo": {
        "grpo-1e-4": Candidate(1e-4),
        "grpo-1e-4-hot": Candidate(1e-4, temperature=1.5),
        "grpo-3e-4-hot": Candidate(3e-4, temperature=1.5),
        "grpo-1e-4-hotter": Candidate(1e-4, temperature=2.0),
        "grpo-1e-4-augmented": Candidate(1e-4, augmented=True),
    },
}
"""By arm and name of the run, which begins with the arm's."""
EARLIER = {"continued": "continued-5e-4", "grpo": "grpo-1e-4"}
"""What `--smoke` takes without a choice."""


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

    def run_file(self, name: str, seed: int) -> dict:
        """Of the run `sft`, or of a candidate."""
        arm, options = name.split("-")[0], self.options
        candidate = CANDIDATES.get(arm, {}).get(name)
        train = {"seed": seed, "batch_size": 8, "workers": WORKERS}
        train |= {"logging": {"every_steps": 10}, "checkpoints": {"every_steps": 10**6}}
        if candidate is None:
            train |= {"steps": 2} if options.smoke else {"epochs": 2}
            train["optimizer"] = SFT_OPTIMIZER
        else:
            train |= {"steps": 2} if options.smoke else {"steps": 10**6, "minutes": options.minutes}
            train["optimizer"] = {"learning_rate": candidate.rate, "schedule": "constant"}
        if arm == "grpo" and candidate:
            train["objective"] = self.objective(candidate)
            train["batch_size"] = 2 if options.smoke else options.prompts
        adapter = {"kind": "lora", "rank": 16, "alpha": 32, "targets": ["all-linear"]}
        folder, places = self.seed_folder(seed), data_of(self.theme, self.data)
        data: dict = {"path": places["first" if arm == "sft" else "more"], "splits": {"validation": None, "test": None}}
        if candidate and candidate.augmented:
            data["augment"] = "formula"
        return {
            "name": name,
            "output": str(folder),
            "model": {"path": "nano"},
            "data": data,
            "adapter": adapter | ({} if arm == "sft" else {"from": str(folder / "sft")}),
            "train": train,
        }

    def objective(self, candidate: Candidate) -> dict:
        options = self.options
        return {
            "kind": "grpo",
            "answers": 4 if options.smoke else options.answers,
            "max_new_tokens": 16 if options.smoke else min(MARGIN_TOKENS, self.theme.max_new_tokens),
            "temperature": candidate.temperature,
            "rewards": REWARDS,
            "updates": 1 if options.smoke else options.updates,
            "reward_workers": 1 if options.smoke else REWARD_WORKERS,
        }

    def train(self, jobs: Sequence[tuple[str, int]]) -> None:
        """Runs by name and seed, all at once, each a process; one that was cut before is begun again."""
        side_by_side([lambda job=job: self._train(*job) for job in jobs])

    def _train(self, name: str, seed: int) -> None:
        folder = self.seed_folder(seed)
        run, file, log = folder / name, folder / f"{name}.json", folder / f"{name}.log"
        if (run / "run.json").exists() and json.loads((run / "run.json").read_text())["state"] == "trained":
            return
        shutil.rmtree(run, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(self.run_file(name, seed)))
        process([*TRAIN, str(file), "--no-compare", "--no-calibrate"], log)

    def read(self, jobs: Sequence[tuple[str, int]], kind: str) -> None:
        """Scores of runs on validation or test rows of each set, all runs at once; they are kept as files."""
        side_by_side([lambda job=job: self._read(*job, kind) for job in jobs])

    def _read(self, name: str, seed: int, kind: str) -> None:
        """All sets in one process."""
        if not self._scores(name, seed, kind).is_file():
            folders = [str(self.data / folder) for folder in self.folders(kind, seed)]
            places = [str(self.seed_folder(seed) / name), str(self._scores(name, seed, kind))]
            command = [sys.executable, str(Path(__file__)), "--read", *places, str(self.theme.max_new_tokens), *folders]
            process(command, self.seed_folder(seed) / f"{name}.read.log")

    def folders(self, kind: str, seed: int) -> list[str]:
        """Names of the rows' folders, in the order of the theme's sets."""
        middle = "" if kind == "validation" else f"{seed}-"
        return [f"{kind}-{middle}{name}" for name in self.theme.sets]

    def _scores(self, name: str, seed: int, kind: str) -> Path:
        return self.seed_folder(seed) / f"{name}.{kind}.json"

    def scores(self, name: str, seed: int, kind: str) -> dict[str, dict]:
        """By set: of each row whether it was read, and how well."""
        return dict(zip(self.theme.sets, json.loads(self._scores(name, seed, kind).read_text()), strict=True))


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


def read(run: Path, file: Path, max_new_tokens: int, folders: Sequence[Path]) -> None:
    """A run's scores on folders of rows, into a file."""
    model = open_model(run, checkpoint="latest")
    results = []
    for folder in folders:
        predictions = model.read(list(load_split(str(folder))), sampling=Sampling(max_new_tokens), batch_size=64)
        scored = [ScoredPrediction.of(prediction) for prediction in predictions]
        values = {
            "canonical": [bool(row.is_canonically_exact) for row in scored],
            "exact": [bool(row.is_exact) for row in scored],
            "cdm_f1": [round(row.cdm.f1, 4) for row in scored],
        }
        results.append(values)
    file.write_text(json.dumps(results))


def choose(study: Study) -> None:
    """Settings by arm, and what each candidate read, in chosen.json."""
    seed = CHOOSING_SEED
    names = [name for candidates in CANDIDATES.values() for name in candidates]
    study.train([("sft", seed)])
    study.train([(name, seed) for name in names])
    study.read([(name, seed) for name in ("sft", *names)], "validation")
    means = {
        name: {
            rows: {kind: _mean(values) for kind, values in scores.items()}
            for rows, scores in study.scores(name, seed, "validation").items()
        }
        for name in ("sft", *names)
    }

    chosen = {
        "minutes": study.options.minutes,
        "rows": study.options.validation_rows,
        "runs": {arm: best(study, list(names), [seed]) for arm, names in CANDIDATES.items()},
        "validation": means,
        "histories": {name: history(study.seed_folder(seed) / name) for name in names},
    }
    (study.work / "chosen.json").write_text(json.dumps(chosen, indent=1) + "\n")
    print(json.dumps(chosen, indent=1))


def best(study: Study, names: Sequence[str], seeds: Sequence[int]) -> str:
    """The run that reads most validation rows, over seeds and sets; of equal ones that with the higher CDM."""

    def score(name: str) -> tuple[float, ...]:
        sets = [scores for seed in seeds for scores in study.scores(name, seed, "validation").values()]
        return tuple(_mean([_mean(scores[kind]) for scores in sets]) for kind in ("canonical", "cdm_f1"))

    return names[0] if len(names) == 1 else max(names, key=score)


def choose_among(study: Study, names: Sequence[str]) -> dict:
    """Trains these candidates on every seed, and chooses one of each arm on validation rows."""
    seeds = study.options.seeds
    of_arm = {arm: [name for name in names if name in candidates] for arm, candidates in CANDIDATES.items()}
    study.train([(name, seed) for seed in seeds for name in names])
    read = [name for tried in of_arm.values() if len(tried) > 1 for name in tried]
    study.read([(name, seed) for seed in seeds for name in read], "validation")
    return {
        "tried": list(names),
        "rows": study.options.validation_rows,
        "runs": {arm: best(study, tried, seeds) for arm, tried in of_arm.items()},
        "validation": {
            name: {
                rows: [_mean(study.scores(name, seed, "validation")[rows]["canonical"]) for seed in seeds]
                for rows in study.theme.sets
            }
            for name in read
        },
    }


def measure(study: Study, chosen: dict | None) -> None:
    """
    Args:
        chosen: with the run of each arm; None chooses among those of `--try`.
    """
    options = study.options
    study.train([("sft", seed) for seed in options.seeds])
    chosen = choose_among(study, options.tried) if chosen is None else chosen
    runs = {"sft": "sft", **chosen["runs"]}
    study.train([(runs[arm], seed) for seed in options.seeds for arm in ("continued", "grpo")])
    study.read([(name, seed) for seed in options.seeds for name in runs.values()], "test")
    scores = {seed: {arm: study.scores(name, seed, "test") for arm, name in runs.items()} for seed in options.seeds}
    whole = {
        "theme": f"grpo nano, {study.theme.name}",
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {os.cpu_count()} cores",
        "torch": torch.__version__,
        "command": " ".join(["python", *sys.argv]),
        "minutes": options.minutes,
        "runs": runs,
        "sets": {
            name: measured(
                {seed: {arm: by_set[name] for arm, by_set in of_seed.items()} for seed, of_seed in scores.items()}
            )
            for name in study.theme.sets
        },
        "histories": {
            seed: {arm: history(study.seed_folder(seed) / name) for arm, name in runs.items()} for seed in options.seeds
        },
        "chosen": chosen,
        "settings": {arm: study.run_file(name, 0)["train"] for arm, name in runs.items()},
    }
    text = json.dumps(whole, indent=1) + "\n"
    if options.output:
        options.output.write_text(text)
    print(text)


def measured(scores: dict[int, dict[str, dict]]) -> dict:
    """Of one set of rows: each seed's comparison, and that of all their rows.

    Args:
        scores: by seed and arm.
    """
    rows, over_continued, over_sft = [], [], []
    for seed, of_arm in scores.items():
        exact = {arm: np.array(score["canonical"], float) for arm, score in of_arm.items()}
        over_continued.append(exact["grpo"] - exact["continued"])
        over_sft.append(exact["grpo"] - exact["sft"])
        row = {"seed": seed, "sft": round(100 * float(exact["sft"].mean()), 2)}
        rows.append(row | compared(of_arm["continued"], of_arm["grpo"]))
    better, worse = (sum(row[name] for row in rows) for name in ("only_grpo", "only_continued"))
    return {
        "rows_a_seed": len(over_continued[0]),
        **{arm: round(_mean([row[arm] for row in rows]), 2) for arm in ("sft", "continued", "grpo")},
        "points": _points(over_continued),
        "interval_95": interval(np.concatenate(over_continued)),
        "p_all_seeds": float(f"{mcnemar_exact(better, worse):.3g}"),
        "points_over_sft": _points(over_sft),
        "interval_over_sft_95": interval(np.concatenate(over_sft)),
        "seeds": rows,
    }


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
        run, file, tokens, *folders = sys.argv[2:]
        read(Path(run), Path(file), int(tokens), [Path(folder) for folder in folders])
        return
    options = _options()
    theme = THEMES[options.theme]
    study = Study(options, theme, options.work.absolute() / (f"{theme.name}-smoke" if options.smoke else theme.name))
    rows, validation = (12, 8) if options.smoke else (options.rows, options.validation_rows)
    write_rows(theme, study.data, () if options.choose else options.seeds, rows, validation)
    if options.choose:
        choose(study)
        return
    if options.tried:
        measure(study, None)
        return
    file = options.chosen or study.work / "chosen.json"
    if not file.is_file() and not options.smoke:
        raise SystemExit(f"{file} is missing; choose settings first: --choose")
    measure(study, json.loads(file.read_text()) if file.is_file() else {"runs": EARLIER})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--theme", choices=THEMES, default="handwriting")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--choose", action="store_true", help="choose settings on validation rows")
    names = [name for candidates in CANDIDATES.values() for name in candidates]
    parser.add_argument("--try", nargs="+", choices=names, dest="tried", metavar="RUN", help=", ".join(names))
    parser.add_argument("--chosen", type=Path, help="chosen.json of another call")
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
