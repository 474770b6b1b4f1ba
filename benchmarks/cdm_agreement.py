"""Our CDM by the reference's rules against scores that the authors' program gave, and each disagreement by kind.

    python benchmarks/cdm_agreement.py FILE.jsonl ... [--rules reference] [--show] [--write benchmarks/results]

A row has `gt`, `pred` and `cdm` with `F1_score`; rows whose `cdm` is null were not scored and are left out. Rows at
F1 = 1 and below are distinguished, since most rows are at 1 and always answering 1 would look good.
"""

import argparse
import json
import re
from collections import Counter
from pathlib import Path

from result import write_result
from scipy.stats import spearmanr

from texlens.latex.parse.tokens import tokenize
from texlens.metrics.cdm import RULES, cdm

CLOSE = 0.05
OTHER_SETS = {"reference": "reference-2024", "reference-2024": "reference"}


def kind_of(reference: str, text: str, theirs: float, rules: str) -> str:
    """Why the scores differ, the surest reason first."""
    scores = {name: cdm(reference, text, RULES[name]) for name in OTHER_SETS}
    joined = " ".join(tokenize(reference) + tokenize(text))
    if "\n" in text or "\n" in reference:
        return "several lines: the last alone parses by chance"
    if "[ [ o b j e c t" in joined:
        return "a damaged label: a root's index without its bracket"
    if scores[rules].problem:
        return "TeX goes on after an error where we can't draw"
    if abs(scores[OTHER_SETS[rules]].f1 - theirs) <= CLOSE:
        return "the other parameter set agrees"
    if re.search(r"\\[lc]?dots \\[lc]?dots", joined):
        return "of two dots in a row the authors split one"
    if re.search(r"([_^]) (?:\{[^{}]*\}|[^{}]) \1", joined):
        return "two subscripts or superscripts on one base"
    return "another pairing of equal tokens, or a place near the limit"


def report(path: Path, rules: str, show: bool) -> dict:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if row["cdm"]]
    theirs = [row["cdm"]["F1_score"] for row in rows]
    ours = [cdm(row["gt"], row["pred"], RULES[rules]).f1 for row in rows]
    at_one = [our for our, their in zip(ours, theirs, strict=True) if their == 1]
    below = [(our, their) for our, their in zip(ours, theirs, strict=True) if their < 1]
    close = sum(abs(our - their) <= CLOSE for our, their in below)
    shares = [100 * sum(value == 1 for value in values) / len(rows) for values in (ours, theirs)]
    print(f"{path.stem}, {rules}: {len(rows)} rows")
    print(f"  at F1 = 1: {len(at_one)} rows, ours 1 on {100 * sum(f1 == 1 for f1 in at_one) / len(at_one):.2f}%")
    print(f"  below 1: {len(below)} rows, {100 * close / len(below):.2f}% within {CLOSE},", end=" ")
    print(f"Spearman {spearmanr(*zip(*below, strict=True))[0]:.4f}")
    print(f"  share at 1: ours {shares[0]:.2f}%, theirs {shares[1]:.2f}%")
    kinds: Counter[str] = Counter()
    for row, our, their in zip(rows, ours, theirs, strict=True):
        if abs(our - their) > CLOSE:
            kind = kind_of(row["gt"], row["pred"], their, rules)
            kinds[kind] += 1
            if show:
                print(f"    {their:.3f} {our:.3f} [{kind}] {row['gt']!r} {row['pred']!r}")
    for kind, count in kinds.most_common():
        print(f"  {count:4} {kind}")
    return {
        "rules": rules,
        "rows": len(rows),
        "rows_at_one": len(at_one),
        "ours_at_one_percent": round(100 * sum(f1 == 1 for f1 in at_one) / len(at_one), 2),
        "rows_below_one": len(below),
        f"within_{CLOSE}_percent": round(100 * close / len(below), 2),
        "disagreements": dict(kinds.most_common()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--rules", choices=list(OTHER_SETS), default="reference")
    parser.add_argument("--show", action="store_true", help="List every disagreement.")
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    figures = {path.stem: report(path, arguments.rules, arguments.show) for path in arguments.files}
    if arguments.write:
        command = f"python benchmarks/cdm_agreement.py CDM_REFERENCE/*.jsonl --rules {arguments.rules}"
        write_result(arguments.write, "cdm agreement", command, ("numpy", "scipy"), {"files": figures})


if __name__ == "__main__":
    main()
