"""Throws broken formulas at every score and says what it found: exceptions, slow rows, scores out of bounds.

    python benchmarks/fuzz_scores.py --minutes 10 --seed 0 [--corpus formulas.txt]

Formulas come from the random generator, or from a file with one a line; a row is a formula, and another that was made
of it by deleting, doubling, swapping and inserting tokens and characters, hostile ones among them.
"""

import argparse
import json
import random
import resource
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from texlens.latex.canonical.form import canonical
from texlens.latex.generate.random_formulas import RandomFormulas
from texlens.latex.parse.tokens import tokenize
from texlens.metrics.cdm import RULES, cdm
from texlens.metrics.prediction import Prediction
from texlens.metrics.registry import METRICS
from texlens.metrics.scored_prediction import ScoredPrediction

SLOW_SECONDS = 5.0
HOSTILE = [
    "{", "}", "\\left", "\\right", "\\left(", "\\right.", "\\begin{matrix}", "\\end{matrix}", "\\begin{array}{c|c}",
    "&", "\\\\", "^", "_", "'", "\\frac", "\\sqrt", "\\sqrt[", "]", "\\over", "\\limits", "\\def\\a{\\a\\a}\\a",
    "\\input{/etc/passwd}", "\\write18{id}", "\\csname", "\0", "\u202e", "\u05d0\u05d1", "\ufeff", "\U0001f600",
    "漢", "%", "\\%", "$", "$$", "\\[", "~", "\\ ", "\\", "\n", "\t", "\\text{", "\\mbox{ab $x$ c}", "\\not",
    "\\hspace{-99em}", "\\rule{9999em}{9999em}", "\\raisebox{1em}{x}", "\\phantom{", "\\multicolumn{99999}{c}{x}",
    "\\hat", "\\overbrace", "\\unknowncommand", "\\char", "\\raise 1000000pt x", "1" * 300, "{" * 250, "^{" * 120,
    "\\frac{" * 80, "\\sqrt{" * 80 + "}" * 80, "x_" * 60, "x''''^2",
]  # fmt: skip


def formulas(corpus: Path | None, draw: random.Random) -> Iterator[str]:
    if corpus is None:
        generator = RandomFormulas()
        while True:
            yield generator.sample(draw, draw.choice([3, 10, 30, 80]))
    lines = [line for line in corpus.read_text(encoding="utf-8").splitlines() if line.strip()]
    while True:
        yield draw.choice(lines)


def mutated(formula: str, draw: random.Random) -> str:
    if draw.random() < 0.3:
        pieces, joint = list(formula), ""
    else:
        pieces, joint = tokenize(formula), " "
    for _ in range(draw.choice([1, 1, 2, 3, 8])):
        at = draw.randrange(len(pieces) + 1)
        kind = draw.choice(["delete", "double", "swap", "insert", "cut", "repeat"])
        if kind == "delete":
            del pieces[at : at + draw.choice([1, 1, 3])]
        elif kind == "double":
            pieces[at:at] = pieces[at : at + draw.choice([1, 2, 5])]
        elif kind == "swap" and len(pieces) > 1:
            other = draw.randrange(len(pieces))
            at = min(at, len(pieces) - 1)
            pieces[at], pieces[other] = pieces[other], pieces[at]
        elif kind == "insert":
            pieces.insert(at, draw.choice(HOSTILE))
        elif kind == "cut":
            pieces = pieces[:at] if draw.random() < 0.5 else pieces[at:]
        elif kind == "repeat" and draw.random() < 0.05:
            pieces = (pieces * 200)[: draw.choice([500, 5000, 30000])]
    return joint.join(pieces)


def checked(reference: str, text: str) -> list[str]:
    """What is wrong with the scores of a row; empty where nothing is."""
    faults = []
    scored = ScoredPrediction.of(Prediction("row", reference, text))
    for metric in METRICS:
        values = metric.statistics(scored)
        if metric.columns == 1 and not 0 <= values[0] <= 1:
            faults.append(f"{metric.name} = {values[0]}")
    for name, rules in RULES.items():
        score = cdm(reference, text, rules)
        if not (0 <= score.f1 <= 1 and 0 <= score.precision <= 1 and 0 <= score.recall <= 1):
            faults.append(f"CDM by {name}: {score}")
        if score.problem and score.f1 and not score.problem.startswith("reference"):
            faults.append(f"CDM by {name} has a problem and a score: {score}")
        if cdm(reference, text, rules) != score:
            faults.append(f"CDM by {name} differs the second time")
    again = cdm(text, " " + text + " ")
    if again.f1 != 1:
        faults.append(f"a formula is not equal to itself: {again}")
    if scored.is_exact_as_picture and not scored.cdm.exact:
        faults.append(f"drawn alike, but CDM F1 is {scored.cdm.f1:.3f}")
    once = canonical(text)
    if canonical(once.text).text != once.text:
        faults.append("canonical form is not idempotent")
    return faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--findings", type=Path, help="Write each finding as a line of JSON.")
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    kinds: Counter[str] = Counter()
    findings: list[dict] = []
    rows, slowest = 0, (0.0, "")
    started = time.monotonic()
    for reference in formulas(arguments.corpus, draw):
        if time.monotonic() - started > 60 * arguments.minutes:
            break
        text = mutated(reference, draw)
        reference = mutated(reference, draw) if draw.random() < 0.2 else reference
        begun = time.process_time()
        try:
            faults = checked(reference, text)
        except (Exception, RecursionError) as error:  # noqa: BLE001 - to find any is what this is for
            faults = [f"{type(error).__name__}: {traceback.format_exc(limit=-2)}"]
        seconds = time.process_time() - begun
        if seconds > SLOW_SECONDS:
            faults.append(f"slow: {seconds:.1f} s")
        slowest = max(slowest, (seconds, text[:200]))
        rows += 1
        for fault in faults:
            kinds[fault.split(":")[0].split(" = ")[0].split(" is ")[0]] += 1
            findings.append({"fault": fault, "reference": reference[:2000], "text": text[:2000]})
    if arguments.findings:
        arguments.findings.write_text("".join(json.dumps(finding) + "\n" for finding in findings), encoding="utf-8")
    print(f"{rows:,} rows in {(time.monotonic() - started) / 60:.1f} minutes, seed {arguments.seed}")
    print(f"slowest row {slowest[0]:.2f} s of processor time: {slowest[1]!r}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
    print("findings:", dict(kinds) or "none")
    for finding in findings[:5]:
        print(finding)


if __name__ == "__main__":
    main()
