"""What `texlens compare` does after reading, with recorded answers: scores, files and report of 501 rows, two systems.

    python benchmarks/scoring.py --processes 0 1 2 --write benchmarks/results

Answers are as long as those of `benchmarks/reading_commands.py` (115 tokens in a cycle: hardly any is a formula), and,
as `formulas`, the references themselves, half of them with a wrong letter. `while_reading_s` goes by while others are
still being read; `after_reading_s` is what is left then, with the processor time of the main process. Processes are
started beforehand, as they are while weights are loaded.
"""

import argparse
import json
import os
import random
import tempfile
import time
from pathlib import Path

from result import write_result
from tokenizers import Tokenizer

from texlens.config.evaluate import EvaluateSettings
from texlens.evaluation.comparison import compare
from texlens.evaluation.confusion import confusions
from texlens.evaluation.report import ReportData, write_report
from texlens.evaluation.scoring.row_result import ScoringSettings
from texlens.evaluation.scoring.row_scorer import RowScorer
from texlens.metrics.prediction import Prediction
from texlens.metrics.registry import run_metrics
from texlens.models.bundled import NANO_FOLDER

ROWS, NEW_TOKENS, TEXT_TOKENS, SPREAD = 501, 115, 1016, 389


def reference(number: int) -> str:
    return rf"\frac{{x_{{{number}}} + {number % 7}}}{{\sqrt{{y}}}} = \int_0^{{{number % 11}}} f(t) \, dt"


def cycle(tokenizer: Tokenizer, number: int, system: str) -> str:
    first = random.Random(f"{system} {number}").randrange(TEXT_TOKENS)
    return tokenizer.decode([(first + turn * SPREAD) % TEXT_TOKENS for turn in range(NEW_TOKENS)])


def formula(number: int, system: str) -> str:
    rng = random.Random(f"{system} {number}")
    return reference(number) if rng.random() < 0.5 else reference(number).replace("y", rng.choice("abcdeghz"))


def recorded(kind: str) -> dict[str, list[Prediction]]:
    tokenizer = Tokenizer.from_file(str(NANO_FOLDER / "tokenizer.json"))
    return {
        system: [
            Prediction(
                f"{number:04}",
                reference(number),
                cycle(tokenizer, number, system) if kind == "cycles" else formula(number, system),
                "length" if kind == "cycles" else "end",
                log_probability=-1.0,
            )
            for number in range(ROWS)
        ]
        for system in ("base", "adapter")
    }


def measured(systems: dict[str, list[Prediction]], processes: int, folder: Path) -> tuple[dict, dict]:
    """The figures, and the comparison."""
    names = tuple(EvaluateSettings().metrics)
    with RowScorer(ScoringSettings(names, draws=True), processes) as scorer:
        warm = [Prediction(f"warm {number}", "x", "y") for number in range(8 * max(1, processes))]
        list(scorer.results(warm))
        began = time.monotonic()
        for rows in zip(*systems.values(), strict=True):
            for prediction in rows:
                scorer.begin(prediction)
        if processes:
            known = scorer.scored(systems)
        read, spent = time.monotonic(), time.process_time()
        known = scorer.scored(systems)
        stored = [json.dumps(result.stored) for rows in systems.values() for result in scorer.results(rows)]
    comparison = compare(systems, metrics=run_metrics(names), known=known)
    confusions(comparison)
    data = ReportData("compare", comparison)
    write_report(folder / "report.html", data, draw=scorer.drawn.draw, draw_pair=scorer.drawn.draw_pair)
    figures = {
        "while_reading_s": round(read - began, 2),
        "after_reading_s": round(time.monotonic() - read, 2),
        "main_process_cpu_s": round(time.process_time() - spent, 2),
        "report_bytes": (folder / "report.html").stat().st_size,
    }
    return figures, {**comparison.to_json(), "stored": stored}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--processes", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    figures: dict = {"rows": ROWS, "systems": 2, "load_average": round(os.getloadavg()[0], 1)}
    for kind in ("cycles", "formulas"):
        systems, results = recorded(kind), []
        for processes in options.processes:
            with tempfile.TemporaryDirectory() as folder:
                numbers, result = measured(systems, processes, Path(folder))
            results.append(result)
            figures[f"{kind}, {processes} processes"] = numbers
            print(kind, processes, "processes", numbers, flush=True)
        figures[f"{kind}, equal results"] = all(result == results[0] for result in results)
    print("equal", [value for name, value in figures.items() if "equal" in name])
    if options.write:
        command = f"python benchmarks/scoring.py --processes {' '.join(map(str, options.processes))}"
        write_result(options.write, "scoring", command, ("numpy",), figures)


if __name__ == "__main__":
    main()
