r"""Pairs a second of CDM, of this version and of an older checkout in turn, so that a busy machine slows both alike.

    python benchmarks/cdm_speed.py FORMULAS.parquet [--before CHECKOUT] [--rounds 7] [--write benchmarks/results]

Each round is a process of its own for each version, the first of the two alternating: it warms up on fifty pairs, then
scores the others once, so that each formula is parsed and laid out. Predictions are the formulas with 5% of their
tokens changed (as in `formula_metrics.py`). Given are pairs a second of processor time, and the median of the rounds'
ratios.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet as parquet
from formula_metrics import worn
from result import write_result

_CHILD = """
import json, sys, time
try:
    from texlens.metrics.cdm import RULES, cdm
except ImportError:  # version 0.1
    from texlens.evaluate.cdm import RULES, cdm
pairs = json.load(open(sys.argv[1]))
for pair in pairs[:50]:
    cdm(*pair, RULES["default"])
start = time.process_time()
for pair in pairs[50:]:
    cdm(*pair, RULES["default"])
print((len(pairs) - 50) / (time.process_time() - start))
"""


def rate(source: Path, pairs: Path) -> float:
    """Pairs a second of the package in `source`."""
    environment = os.environ | {"PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _CHILD, str(pairs)]
    return float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("formulas", type=Path)
    parser.add_argument("--before", type=Path, help="an older checkout")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    formulas = list(dict.fromkeys(parquet.read_table(options.formulas, columns=["text"]).column("text").to_pylist()))
    draw = random.Random(0)
    sources = {"now": Path(__file__).parents[1] / "src"}
    if options.before:
        sources["before"] = options.before / "src"
    rates: dict[str, list[float]] = {name: [] for name in sources}
    with tempfile.TemporaryDirectory() as folder:
        pairs = Path(folder) / "pairs.json"
        pairs.write_text(json.dumps([(formula, worn(formula, draw)) for formula in formulas]), encoding="utf-8")
        for round_number in range(options.rounds):
            for name in sorted(sources, reverse=round_number % 2 == 0):
                rates[name].append(rate(sources[name], pairs))
            print({name: round(values[-1], 1) for name, values in rates.items()}, flush=True)
    figures: dict = {f"pairs_per_cpu_second_{name}": round(statistics.median(v), 1) for name, v in rates.items()}
    if options.before:
        ratios = [now / before for now, before in zip(rates["now"], rates["before"], strict=True)]
        figures |= {"median_ratio": round(statistics.median(ratios), 3), "ratios": [round(r, 3) for r in ratios]}
    print(figures)
    if options.write:
        command = f"python benchmarks/cdm_speed.py LATEX_OCR/full/test --before CHECKOUT --rounds {options.rounds}"
        write_result(options.write, "cdm speed", command, ("numpy", "scipy"), {"pairs": len(formulas), **figures})


if __name__ == "__main__":
    main()
