"""Runs of `grpo_nano.py`: their settings by name, and how they are trained and read, many processes on one GPU."""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from grpo_rows import ROOT, Theme, data_of

WORKERS, REWARD_WORKERS = 2, 2
"""Of a run: up to twelve run at once on 16 cores."""
AT_ONCE = 12
THREADS = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
"""Of each process, since many run at once."""
SFT_OPTIMIZER = {"learning_rate": 2e-3, "schedule": "cosine", "warmup_ratio": 0.05}
"""As in the recipe."""
TEXLENS = [sys.executable, "-m", "texlens"]
REWARDS = {"exact": 1.0, "cdm_f1": 0.5, "edit_similarity": 0.5}
DRAWN = {"pairs": ["preferences", "--margin", "0.2"], "best": ["best-of-n", "--at-least", "2.0"]}
"""Rows that the fine-tuned model draws: the commands of `texlens data`. The best answer must be right."""
DRAWN_ANSWERS, DRAWN_TEMPERATURE = 8, 1.5


@dataclass(frozen=True)
class Candidate:
    """Settings of an arm.

    Args:
        steps: a linear decay to 0 over so many; None is a constant rate until the time is over.
        temperature: of GRPO's draws.
        augmented: changes the training images of each epoch (`data.augment: formula`).
        rows: what is trained on: `more` of the theme, or what `DRAWN` names.
        epochs: a cosine schedule over so many, in place of the time.
    """

    rate: float
    steps: int | None = None
    temperature: float = 1.0
    augmented: bool = False
    rows: str = "more"
    epochs: float | None = None


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
        "grpo-3e-4-hot-decayed": Candidate(3e-4, steps=200, temperature=1.5),
        "grpo-1e-4-hotter": Candidate(1e-4, temperature=2.0),
        "grpo-1e-4-augmented": Candidate(1e-4, augmented=True),
    },
    "dpo": {f"dpo-{rate}": Candidate(float(rate), rows="pairs", epochs=3) for rate in ("2e-5", "1e-4")},
    "kto": {f"kto-{rate}": Candidate(float(rate), rows="pairs", epochs=3) for rate in ("2e-5", "1e-4")},
    "orpo": {f"orpo-{rate}": Candidate(float(rate), rows="pairs", epochs=3) for rate in ("1e-4", "5e-4")},
    "best": {f"best-{rate}": Candidate(float(rate), rows="best", epochs=3) for rate in ("1e-4", "5e-4")},
}
"""By arm and name of the run, which begins with the arm's."""


def arm_of(name: str) -> str:
    return name.split("-")[0]


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
        arm, options = arm_of(name), self.options
        candidate = CANDIDATES.get(arm, {}).get(name)
        train = {"seed": seed, "batch_size": 8, "workers": WORKERS}
        train |= {"logging": {"every_steps": 10}, "checkpoints": {"every_steps": 10**6}}
        if candidate is None:
            train |= {"optimizer": SFT_OPTIMIZER, "epochs": 2}
        else:
            train |= self._length(candidate)
        if options.smoke:
            train |= {"steps": 2, "epochs": None, "minutes": None}
        if candidate and arm == "grpo":
            train["objective"] = self.objective(candidate)
            train["batch_size"] = 2 if options.smoke else options.prompts
        elif arm in ("dpo", "kto", "orpo"):
            train["objective"] = arm
        adapter = {"kind": "lora", "rank": 16, "alpha": 32, "targets": ["all-linear"]}
        folder = self.seed_folder(seed)
        data: dict = {"path": self._rows(candidate, seed), "splits": {"validation": None, "test": None}}
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

    def _length(self, candidate: Candidate) -> dict:
        if candidate.epochs is not None:
            schedule, length = {"schedule": "cosine", "warmup_ratio": 0.05}, {"epochs": candidate.epochs}
        else:
            schedule = {"schedule": "linear" if candidate.steps else "constant"}
            length = {"steps": candidate.steps or 10**6, "minutes": self.options.minutes}
        return {"optimizer": {"learning_rate": candidate.rate, **schedule}, **length}

    def _rows(self, candidate: Candidate | None, seed: int) -> str:
        places = data_of(self.theme, self.data)
        if candidate is None:
            return places["first"]
        return places["more"] if candidate.rows == "more" else str(self.seed_folder(seed) / candidate.rows)

    def objective(self, candidate: Candidate) -> dict:
        options = self.options
        return {
            "kind": "grpo",
            "answers": 4 if options.smoke else options.answers,
            "max_new_tokens": 16 if options.smoke else self.theme.drawn_tokens,
            "temperature": candidate.temperature,
            "rewards": REWARDS,
            "updates": 1 if options.smoke else options.updates,
            "reward_workers": 1 if options.smoke else REWARD_WORKERS,
        }

    def train(self, jobs: Sequence[tuple[str, int]]) -> set[str]:
        """Runs by name and seed, each a process, `AT_ONCE` of them in this order; one that was cut before is begun
        again. Returns the names of those that failed, whose messages are printed."""
        failed: set[str] = set()

        def train(name: str, seed: int) -> None:
            try:
                self._train(name, seed)
            except SystemExit as error:
                print(error, flush=True)
                failed.add(name)

        side_by_side([lambda job=job: train(*job) for job in jobs])
        return failed

    def _train(self, name: str, seed: int) -> None:
        folder = self.seed_folder(seed)
        run, file, log = folder / name, folder / f"{name}.json", folder / f"{name}.log"
        if (run / "run.json").exists() and json.loads((run / "run.json").read_text())["state"] == "trained":
            return
        shutil.rmtree(run, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(self.run_file(name, seed)))
        process([*TEXLENS, "train", str(file), "--no-compare", "--no-calibrate"], log)

    def draw(self, names: Sequence[str], seed: int) -> None:
        """The rows that runs of these names are trained on, as far as the fine-tuned model draws them; where it fails,
        its message is printed, and the runs fail."""
        candidates = [CANDIDATES[arm_of(name)][name] for name in names]
        for rows in sorted({candidate.rows for candidate in candidates} & set(DRAWN)):
            try:
                self._draw(rows, seed)
            except SystemExit as error:
                print(error, flush=True)

    def _draw(self, rows: str, seed: int) -> None:
        """A call that was stopped goes on where it was."""
        folder, smoke = self.seed_folder(seed), self.options.smoke
        command, *others = DRAWN[rows]
        answers = ["-n", "4" if smoke else str(DRAWN_ANSWERS), "--temperature", str(DRAWN_TEMPERATURE)]
        limits = [
            "--max-new-tokens",
            str(self.theme.drawn_tokens),
            "--batch-size",
            "128",
            *(["--limit", "8"] if smoke else []),
        ]
        scores = ["--scores", ",".join(f"{name}={weight}" for name, weight in REWARDS.items())]
        call = [*TEXLENS, "data", command, str(folder / "sft"), "-o", str(folder / rows), "--seed", str(seed)]
        process([*call, *answers, *limits, *scores, *others], folder / f"{rows}.log")

    def read(self, jobs: Sequence[tuple[str, int]]) -> None:
        """Scores of runs on validation and test rows of each set; they are kept as files, each as soon as it is known.
        A process reads with several runs."""
        waiting = [job for job in jobs if not self._scores(*job).is_file()]
        parts = [waiting[start::AT_ONCE] for start in range(AT_ONCE)]
        side_by_side([lambda part=part, number=number: self._read(part, number) for number, part in enumerate(parts)])

    def _read(self, jobs: Sequence[tuple[str, int]], number: int) -> None:
        if not jobs:
            return
        file = self.work / f"read-{number}.json"
        readings = [
            {
                "run": str(self.seed_folder(seed) / name),
                "scores": str(self._scores(name, seed)),
                "max_new_tokens": self.theme.max_new_tokens,
                "folders": {kind: self.folders(kind, seed) for kind in ("validation", "test")},
            }
            for name, seed in jobs
        ]
        file.write_text(json.dumps(readings))
        process([sys.executable, str(ROOT / "benchmarks/grpo_nano.py"), "--read", str(file)], file.with_suffix(".log"))

    def folders(self, kind: str, seed: int) -> dict[str, str]:
        """By set: where its rows are; a seed that only chooses has no test rows."""
        middle = "" if kind == "validation" else f"{seed}-"
        folders = {name: self.data / f"{kind}-{middle}{name}" for name in self.theme.sets}
        return {name: str(folder) for name, folder in folders.items() if folder.is_dir()}

    def _scores(self, name: str, seed: int) -> Path:
        return self.scores_folder / f"seed-{seed}" / f"{name}.json"

    @property
    def scores_folder(self) -> Path:
        return (self.options.scores or self.work / "scores").absolute() / self.work.name

    def scores(self, name: str, seed: int, kind: str) -> dict[str, dict]:
        """By set: of each validation or test row whether it was read, and how well."""
        return json.loads(self._scores(name, seed).read_text())[kind]


def write_whole(file: Path, text: str) -> None:
    """A reader, or a call that is cut, sees all of it or what was there before."""
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_suffix(".part")
    aside.write_text(text)
    aside.replace(file)


def process(command: Sequence[str], log: Path) -> None:
    """Raises SystemExit with the end of its output if it fails."""
    environment = {**os.environ, **THREADS, "PYTHONPATH": str(ROOT / "src")}
    with log.open("a") as file:
        done = subprocess.run(command, stdout=file, stderr=file, env=environment)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{log.read_text()[-3000:]}")


def side_by_side(jobs: Sequence[Callable[[], None]]) -> None:
    """The first failure is raised when all have ended."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done in [pool.submit(job) for job in jobs]:
            done.result()
