"""Scores of stored readings: exact, canonical and drawn-alike shares with intervals, and invalid readings."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet

from texlens.metrics.cdm import cdm
from texlens.metrics.prediction import Prediction
from texlens.metrics.scored_prediction import ScoredPrediction

RESAMPLES = 2000


def table(sets: Path, readings: Path, names: Sequence[str]) -> dict[str, dict]:
    """Figures of each set, and of the parts of `engines`, free and constrained by the grammar."""
    out: dict[str, dict] = {}
    for name in names:
        rows = stored(readings, name)
        if not rows or name == "photographs":
            continue
        keys = ("free", "constrained") if any("constrained" in row for row in rows) else ("free",)
        for key in keys:
            scored = {row["id"]: of(Prediction.from_row(row.get(key, row["free"]))) for row in rows}
            out.setdefault(name, {})[key] = figures(list(scored.values()))
            if name == "engines":
                for part, has in engine_parts(sets).items():
                    chosen = [value for row, value in scored.items() if has(int(row.rsplit("/")[-1]))]
                    out.setdefault(f"engines: {part}", {})[key] = figures(chosen)
    return out


def file_stem(name: str) -> str:
    """Of the files with a set's readings; one a process."""
    return name.replace("/", "-").replace(" ", "_")


def stored(readings: Path, name: str) -> list[dict]:
    """What all processes have read of a set; rows are `id`, `free` and, where the grammar was needed, `constrained`."""
    files = sorted(readings.glob(f"{file_stem(name)}.*.jsonl"))
    return [json.loads(line) for file in files for line in file.open()]


def engine_parts(sets: Path) -> dict[str, Callable[[int], bool]]:
    """Part → whether a row of `engines` belongs to it, by its number."""
    details = [json.loads(detail) for detail in parquet.read_table(sets / "engines.parquet")["detail"].to_pylist()]
    return {
        "DejaVu": lambda i: details[i]["family"] == "DejaVu",
        "Times-like": lambda i: details[i]["family"] == "Times-like",
        "rare commands": lambda i: details[i]["rare"],
        "mathtext": lambda i: details[i]["engine"] == "mathtext",
        "mathjax": lambda i: details[i]["engine"] == "mathjax",
        "browser MathML": lambda i: details[i]["engine"] == "browser",
    }


def of(prediction: Prediction) -> dict[str, float]:
    """One row's values: 0 or 1, and the CDM F1."""
    scored = ScoredPrediction.of(prediction, clean=False)
    match = cdm(scored.reference, scored.text)
    return {
        "exact": float(scored.is_exact),
        "canonical": float(scored.is_canonically_exact),
        "cdm_exact": float(match.exact),
        "cdm_f1": match.f1,
        "invalid": float(not scored.is_valid),
    }


def figures(rows: Sequence[dict[str, float]]) -> dict:
    """Percent with 95% bootstrap intervals."""
    if not rows:
        return {"rows": 0}
    out: dict = {"rows": len(rows)}
    picks = np.random.default_rng(0).integers(0, len(rows), (RESAMPLES, len(rows)))
    for name in rows[0]:
        values = np.array([row[name] for row in rows])
        low, high = np.percentile(values[picks].mean(axis=1), [2.5, 97.5])
        out[name] = [round(100 * float(value), 1) for value in (values.mean(), low, high)]
    return out
