r"""nano after supervised fine-tuning: GRPO against supervised fine-tuning that goes on for as long, three seeds; and
what preferences and the best of n bring to the same model.

    python benchmarks/grpo_nano.py --work build/grpo --scores OUT/scores --output OUT/grpo-nano.json --minutes 2 \
        --prompts 64 --answers 8 --updates 4 --try grpo-1e-4-hot grpo-3e-4-hot-decayed continued-1e-4 continued-5e-4
    python benchmarks/grpo_nano.py --work build/grpo --scores OUT/scores --output OUT/preferences-nano.json \
        --try dpo-2e-5 dpo-1e-4 kto-2e-5 kto-1e-4 orpo-1e-4 orpo-5e-4 best-1e-4 best-5e-4
    python benchmarks/grpo_nano.py --theme printed --minutes 1 --answers 8 --try grpo-1e-4-hot continued-5e-4 …
    python benchmarks/grpo_nano.py --smoke --seeds 0 …          # two steps and 12 rows: only whether it runs

All runs named by `--try` (`grpo_study.py`) go on from their seed's adapter. First those of GRPO, all at once on one
GPU; then those of continued fine-tuning, for the same minutes and all at once; then the others. Each kind is read and
reported before the next begins. Each arm has those settings of its candidates that read most validation rows over all
seeds and sets; the test rows, 500 a seed of each set (`grpo_rows.py`), choose nothing. Exact match is by canonical
form. A seed's p is McNemar's exact test; that of all seeds is the same over all their rows, which are different ones;
the interval is a bootstrap over them. What is done is not done again, so a call that was cut can be repeated: a run
that was cut begins again. On an H200 with 16 cores rows and first fine-tuning took 39 s, two minutes of six runs of
GRPO 150 s; reading was not timed yet.
"""

import argparse
import gc
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from grpo_rows import THEMES, write_rows
from grpo_study import CANDIDATES, Study, arm_of, write_whole

from texlens.data.load import load_split
from texlens.inference.decoding.sampling import Sampling
from texlens.inference.open import open_model
from texlens.metrics.scored_prediction import ScoredPrediction
from texlens.metrics.statistics import mcnemar_exact

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
    "accuracy",
    "margin",
)


def main() -> None:
    if sys.argv[1:2] == ["--read"]:
        for reading in json.loads(Path(sys.argv[2]).read_text()):
            read(reading)
        return
    options = _options()
    theme = THEMES[options.theme]
    study = Study(options, theme, options.work.absolute() / (f"{theme.name}-smoke" if options.smoke else theme.name))
    rows, validation = (12, 8) if options.smoke else (options.rows, options.validation_rows)
    began = time.monotonic()

    def stage(name: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {name}", flush=True)

    _run(study, rows, validation, stage)
    stage("end")


def _run(study: Study, rows: int, validation: int, stage: Callable[[str], None]) -> None:
    """Every kind of runs is read, and the report written, before the next kind is trained."""
    options, theme = study.options, study.theme
    seeds, failed = options.seeds, set()
    grpo, continued, others = _kinds(options.tried)
    stage("rows and first fine-tuning")
    with ThreadPoolExecutor(1) as pool:
        if not theme.has_demo:
            write_rows(theme, study.data, seeds, rows, validation)
        written = pool.submit(write_rows, theme, study.data, seeds, rows, validation)
        if study.train([("sft", seed) for seed in seeds]):
            raise SystemExit("the first fine-tuning failed")
        written.result()
    done = ["sft"]
    for kind, names in (("GRPO", grpo), ("continued fine-tuning", continued), ("the other runs", others)):
        if names and kind == "the other runs":
            stage("rows that the model draws")
            with ThreadPoolExecutor(len(seeds)) as pool:
                list(pool.map(lambda seed: study.draw(others, seed), seeds))
        if names:
            stage(kind)
            failed |= study.train([(name, seed) for seed in seeds for name in names])
            done += [name for name in names if name not in failed]
            stage(f"reading: {kind}")
            study.read([(name, seed) for name in done for seed in seeds])
            write_report(study, [name for name in done if name != "sft"], failed)


def _kinds(names: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """GRPO's runs, those of continued fine-tuning, and the others."""
    grpo, continued = ([name for name in names if arm_of(name) == arm] for arm in ("grpo", "continued"))
    return grpo, continued, [name for name in names if name not in (*grpo, *continued)]


def write_report(study: Study, names: Sequence[str], failed: set[str]) -> None:
    text = json.dumps(reported(study, names) | {"failed": sorted(failed)}, indent=1) + "\n"
    write_whole(study.options.output or study.work / "report.json", text)
    print(text, flush=True)


def read(reading: dict) -> None:
    """A run's scores on folders of rows, into a file: by kind and set. Images are read once, as they are."""
    model = replace(open_model(Path(reading["run"]), checkpoint="latest"), preparation=None)
    results: dict[str, dict] = {}
    for kind, folders in reading["folders"].items():
        for name, folder in folders.items():
            sampling = Sampling(reading["max_new_tokens"])
            predictions = model.read(list(load_split(folder)), sampling=sampling, batch_size=256)
            scored = [ScoredPrediction.of(prediction) for prediction in predictions]
            results.setdefault(kind, {})[name] = {
                "canonical": [bool(row.is_canonically_exact) for row in scored],
                "cdm_f1": [round(row.cdm.f1, 4) for row in scored],
            }
    write_whole(Path(reading["scores"]), json.dumps(results))
    del model
    gc.collect()


def best(study: Study, names: Sequence[str]) -> str:
    """The run that reads most validation rows, over seeds and sets; of equal ones that with the higher CDM."""

    def score(name: str) -> tuple[float, ...]:
        sets = [scores for seed in study.options.seeds for scores in study.scores(name, seed, "validation").values()]
        return tuple(_mean([_mean(scores[kind]) for scores in sets]) for kind in ("canonical", "cdm_f1"))

    return max(names, key=score)


def reported(study: Study, names: Sequence[str]) -> dict:
    options, seeds = study.options, study.options.seeds
    of_arm = {arm: [name for name in names if name in candidates] for arm, candidates in CANDIDATES.items()}
    runs = {"sft": "sft"} | {arm: best(study, tried) for arm, tried in of_arm.items() if tried}
    return {
        "theme": f"grpo nano, {study.theme.name}",
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {os.cpu_count()} cores",
        "torch": torch.__version__,
        "command": " ".join(["python", *sys.argv]),
        "minutes": options.minutes,
        "rows_a_seed": options.rows,
        "chosen": runs,
        "sets": {name: _of_set(study, name, runs) for name in study.theme.sets},
        "validation_rows": options.validation_rows,
        "candidates": {
            name: {
                kind: {rows: [_percent(study, name, seed, kind, rows) for seed in seeds] for rows in study.theme.sets}
                for kind in ("validation", "test")
            }
            for name in ("sft", *names)
        },
        "histories": {name: {seed: history(study.seed_folder(seed) / name) for seed in seeds} for name in names},
        "settings": {name: study.run_file(name, 0)["train"] for name in ("sft", *names)},
    }


def _of_set(study: Study, rows: str, runs: dict[str, str]) -> dict:
    """Exact match of each arm by seed, and comparisons of one arm with another over the rows of all seeds."""
    seeds = study.options.seeds
    exact = {
        arm: [np.array(study.scores(name, seed, "test")[rows]["canonical"], float) for seed in seeds]
        for arm, name in runs.items()
    }
    pairs = [("grpo", "continued"), *((arm, other) for other in ("sft", "continued") for arm in runs if arm != other)]
    return {
        "exact": {arm: [round(100 * float(each.mean()), 2) for each in values] for arm, values in exact.items()},
        "comparisons": {
            f"{arm} over {other}": compared(exact[arm], exact[other])
            for arm, other in dict.fromkeys(pairs)
            if arm in exact and other in exact
        },
    }


def compared(arm: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> dict:
    """Points of exact match, over all seeds' rows and by seed.

    Args:
        arm, other: 1 or 0 for each row, by seed.
    """
    differences = [left - right for left, right in zip(arm, other, strict=True)]
    return _compared(np.concatenate(differences)) | {"seeds": [_compared(each) for each in differences]}


def _compared(differences: np.ndarray) -> dict:
    better, worse = int((differences > 0).sum()), int((differences < 0).sum())
    return {
        "points": round(100 * float(differences.mean()), 2),
        "interval_95": interval(differences),
        "p": float(f"{mcnemar_exact(better, worse):.3g}"),
        "only_first": better,
        "only_second": worse,
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


def _percent(study: Study, name: str, seed: int, kind: str, rows: str) -> float:
    return round(100 * _mean(study.scores(name, seed, kind)[rows]["canonical"]), 2)


def _mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 5)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--theme", choices=THEMES, default="handwriting")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    names = [name for candidates in CANDIDATES.values() for name in candidates]
    parser.add_argument(
        "--try", nargs="+", choices=names, dest="tried", metavar="RUN", required=True, help=", ".join(names)
    )
    parser.add_argument("--minutes", type=float, default=2.5, help="of training, of GRPO and of what is continued")
    parser.add_argument("--rows", type=int, default=500, help="of a seed's test")
    parser.add_argument("--validation-rows", type=int, default=150)
    parser.add_argument("--answers", type=int, default=16)
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--updates", type=int, default=2)
    parser.add_argument("--work", type=Path, default=Path("build/grpo-nano"))
    parser.add_argument("--scores", type=Path, help="folder for each run's scores, by theme; otherwise in --work")
    parser.add_argument("--output", type=Path, help="the report, written again after every kind of runs")
    parser.add_argument("--smoke", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
