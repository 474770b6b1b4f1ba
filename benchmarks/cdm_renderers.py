"""Our CDM by our own layout against the same with TeX Live as the renderer.

    python benchmarks/cdm_renderers.py FILE.jsonl ... [--limit 500] [--show]

A row has `gt` and `pred`. Rows that both renderers can draw are compared; the others are counted with the reason.
"""

import argparse
import json
import time
from collections import Counter
from pathlib import Path

from texlens.metrics.cdm import cdm
from texlens.metrics.cdm.tex_pictures import tex_pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--show", action="store_true", help="print the rows that differ by more than 0.05")
    arguments = parser.parse_args()
    for file in arguments.files:
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()][: arguments.limit]
        compare(file.stem, [(row["gt"], row["pred"]) for row in rows], arguments.show)


def compare(name: str, pairs: list[tuple[str, str]], show: bool) -> None:
    began = time.perf_counter()
    pictures, reasons = tex_pictures([text for pair in pairs for text in pair])
    drawn = time.perf_counter() - began
    both = [pair for pair in pairs if pair[0] in pictures and pair[1] in pictures]
    scores = [(pair, cdm(*pair).f1, cdm(*pair, pictures=pictures).f1) for pair in both]
    unequal = [row for row in scores if row[0][0] != row[0][1]]
    print(f"{name}: {len(both):,} of {len(pairs):,} rows drawn by TeX too, in {drawn:.1f} s")
    for title, part in (("all rows", scores), ("rows whose sources differ", unequal)):
        same = sum(abs(ours - tex) < 1e-9 for _, ours, tex in part)
        near = sum(abs(ours - tex) <= 0.05 for _, ours, tex in part)
        exact = sum((ours == 1) == (tex == 1) for _, ours, tex in part)
        print(
            f"  {title}: {len(part):,}, equal on {same / len(part):.2%}, within 0.05 on {near / len(part):.2%}, "
            f"exact or not alike on {exact / len(part):.2%}"
        )
    ours, tex = (sum(row[i] for row in scores) / len(scores) for i in (1, 2))
    print(f"  mean F1: own {ours:.4f}, TeX {tex:.4f}")
    for reason, count in Counter(reasons.values()).most_common(8):
        print(f"  {count:6} {reason}")
    for pair, ours, tex in scores:
        if show and abs(ours - tex) > 0.05:
            print(json.dumps([round(ours, 4), round(tex, 4), *pair]))


if __name__ == "__main__":
    main()
