"""Pairs a second of character detection matching, and of all other scores together.

    python benchmarks/formula_metrics.py FORMULAS.parquet [--processes 2] [--write benchmarks/results]

FORMULAS is a parquet file with a `text` column (LaTeX_OCR's `full` test split for the published figures). The
predictions are its formulas with 5% of their tokens changed, lost or added (seeded), so that few pairs are equal; equal
pairs are timed apart. Each rate is the best of three rounds, after one to warm up; caches of pictures and canonical
forms are emptied before every round, so that each formula is parsed and laid out again.
"""

import argparse
import json
import os
import platform
import random
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as parquet

from texlens.latex.canonical import form as canonical_forms
from texlens.latex.canonical import same_picture as pictures
from texlens.latex.parse.tokens import tokenize
from texlens.metrics.cdm import RULES, cdm
from texlens.metrics.prediction import Prediction
from texlens.metrics.registry import METRICS
from texlens.metrics.scored_prediction import ScoredPrediction

WORN = 0.05
ROUNDS = 3
OTHERS = [metric for metric in METRICS if not metric.name.startswith("cdm")]
_STRUCTURE = frozenset("{}^_&")
Pair = tuple[str, str]


def worn(formula: str, draw: random.Random, letters: str = "xyzabc123") -> str:
    """A formula as a fair reader would misread it; braces, scripts and environments stay."""
    read = []
    for token in tokenize(formula):
        chance = draw.random()
        is_kept = token in _STRUCTURE or token.startswith(("\\begin", "\\end", "\\left", "\\right", "\\\\"))
        if is_kept or chance > WORN:
            read.append(token)
        elif chance < WORN / 3:
            read += [token, draw.choice(letters)]
        elif chance < 2 * WORN / 3:
            read.append(draw.choice(letters))
    return " ".join(read)


def empty_caches() -> None:
    """Those that hold whole formulas; glyphs stay known."""
    for module in (sys.modules["texlens.metrics.cdm.score"], canonical_forms, pictures):
        for value in vars(module).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()


def cdm_pairs(pairs: Sequence[Pair]) -> float:
    empty_caches()
    return sum(cdm(reference, text, RULES["default"]).f1 for reference, text in pairs)


def reference_pairs(pairs: Sequence[Pair]) -> float:
    empty_caches()
    return sum(cdm(reference, text, RULES["reference"]).f1 for reference, text in pairs)


def other_pairs(pairs: Sequence[Pair]) -> float:
    empty_caches()
    total = 0.0
    for reference, text in pairs:
        scored = ScoredPrediction.of(Prediction("row", reference, text))
        total += sum(metric.statistics(scored)[0] for metric in OTHERS)
    return total


def rate(work: Callable[[Sequence[Pair]], float], pairs: Sequence[Pair], processes: int) -> float:
    """Pairs a second, the best of `ROUNDS`."""
    shares = [pairs[number::processes] for number in range(processes)]
    with ProcessPoolExecutor(processes) as pool:
        list(pool.map(work, shares))
        best = float("inf")
        for _ in range(ROUNDS):
            start = time.perf_counter()
            list(pool.map(work, shares))
            best = min(best, time.perf_counter() - start)
    return len(pairs) / best


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.processor())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("formulas", type=Path)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--write", type=Path, metavar="FOLDER")
    arguments = parser.parse_args()
    references = parquet.read_table(arguments.formulas, columns=["text"]).column("text").to_pylist()[: arguments.limit]
    draw = random.Random(0)
    pairs = [(reference, worn(reference, draw)) for reference in references]
    equal = [(reference, " " + reference) for reference in references]
    rates = {
        "cdm": rate(cdm_pairs, pairs, arguments.processes),
        "cdm, equal pairs": rate(cdm_pairs, equal, arguments.processes),
        "cdm as the reference": rate(reference_pairs, pairs, arguments.processes),
        "cdm, one process": rate(cdm_pairs, pairs, 1),
        "all other scores": rate(other_pairs, pairs, arguments.processes),
        "all other scores, one process": rate(other_pairs, pairs, 1),
    }
    for name, value in rates.items():
        print(f"{name:32} {value:8,.0f} pairs/s")
    if arguments.write:
        write(arguments, rates, pairs)


def write(arguments: argparse.Namespace, rates: dict[str, float], pairs: Sequence[Pair]) -> None:
    now = datetime.now(UTC)
    result = {
        "theme": "formula metrics",
        "date": f"{now:%Y-%m-%d}",
        "hardware": f"{processor()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "command": f"python benchmarks/formula_metrics.py {'/'.join(arguments.formulas.parts[-3:])} "
        f"--processes {arguments.processes}" + (f" --limit {arguments.limit}" if arguments.limit else ""),
        "pairs": len(pairs),
        "unequal_pairs": sum(tokenize(reference) != tokenize(text) for reference, text in pairs),
        "tokens_per_truth": round(sum(len(tokenize(reference)) for reference, _ in pairs) / len(pairs), 1),
        "scores": [metric.name for metric in OTHERS],
        "pairs_per_second": {name: round(value, 1) for name, value in rates.items()},
    }
    arguments.write.mkdir(parents=True, exist_ok=True)
    path = arguments.write / f"formula-metrics_cpu_{now:%Y-%m-%d}.json"
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(path, file=sys.stderr)


if __name__ == "__main__":
    main()
