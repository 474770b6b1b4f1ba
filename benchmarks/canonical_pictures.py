"""Draw every formula of some files before and after canonical form, and compare the pictures.

    python benchmarks/canonical_pictures.py FOLDER [--limit N] [--show KIND]

FOLDER holds parquet files with a `text` column and `.txt.gz` files of one formula a line; each sub-folder is a set.
Prints, for each set, how many pictures are equal, how many differ as the spacing rule of
docs/reference/metrics/canonical.md allows, and every other kind of difference with its count; then the speed of
`canonical`.
"""

import argparse
import gzip
import re
import time
from collections import Counter, defaultdict
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet

from texlens.core.errors import LatexError
from texlens.latex.canonical.form import canonical, canonical_form
from texlens.latex.canonical.picture_difference import ALIKE, difference
from texlens.latex.layout.formula import layout
from texlens.latex.render.raster import draw

ARRAY = "array's half em"
ROW_GAP = "distance of rows"
_GAP = re.compile(r"\\\\\*?\s*\[")


def sets(folder: Path, limit: int) -> dict[str, list[str]]:
    """Distinct formulas of each sub-folder."""
    sets_by_name: dict[str, dict[str, None]] = defaultdict(dict)
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).parts[0]
        if path.suffix == ".parquet":
            sets_by_name[name] |= dict.fromkeys(parquet.read_table(path, columns=["text"]).column("text").to_pylist())
        elif path.name.endswith(".txt.gz"):
            with gzip.open(path, "rt", encoding="utf-8") as lines:
                sets_by_name[name] |= dict.fromkeys(line.rstrip("\n") for line in islice(lines, limit))
    return {name: list(formulas)[:limit] for name, formulas in sets_by_name.items()}


def compare(formula: str) -> str:
    """The kind of difference between a formula and its canonical form."""
    form = canonical(formula)
    if form.problem:
        return "can't be parsed"
    try:
        before, after = layout(formula), layout(form.text)
    except LatexError as error:
        return f"canonical form can't be drawn: {error}"
    kind = difference(before, after)
    if kind in (*ALIKE[1:], "a gap changed") and "array" in formula and "matrix}" in form.text:
        kind = ARRAY
    if kind == "moved up or down" and _GAP.search(formula):
        kind = ROW_GAP
    if canonical(form.text).text != form.text:
        return "not idempotent"
    return kind


def same_raster(formula: str) -> bool:
    """Whether both forms give the same gray picture, each cut at its ink."""
    pictures = [_cut(np.asarray(draw(layout(text), 24.0))) for text in (formula, canonical(formula).text)]
    if pictures[0].shape != pictures[1].shape:
        return False
    return bool(np.abs(pictures[0].astype(int) - pictures[1]).max(initial=0) <= 64)


def _cut(picture: np.ndarray) -> np.ndarray:
    dark = picture < 250
    rows, columns = np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))
    return picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] if rows.size else picture[:0, :0]


def speed(formulas: list[str]) -> float:
    start = time.perf_counter()
    for formula in formulas:
        canonical_form(formula)
    return len(formulas) / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit", type=int, default=10_000, help="formulas of a set (default 10,000)")
    parser.add_argument("--show", default="", help="print the formulas of this kind of difference")
    parser.add_argument("--raster", action="store_true", help="draw the pictures too and compare their pixels")
    options = parser.parse_args()
    for name, formulas in sets(options.folder, options.limit).items():
        kinds = Counter()
        for formula in formulas:
            kind = compare(formula)
            kinds[kind] += 1
            if options.show and kind.startswith(options.show):
                print(f"  {formula}\n    {canonical(formula).text}")
        drawn = [formula for formula in formulas if not canonical(formula).problem]
        report(name, kinds, len(drawn))
        if options.raster:
            print(f"  same pixels: {sum(map(same_raster, drawn))} of {len(drawn)}")
        print(f"  {speed(drawn[:2000]):,.0f} canonical forms a second, one process")


def report(name: str, kinds: Counter[str], drawn: int) -> None:
    good = sum(kinds[kind] for kind in (*ALIKE, ARRAY, ROW_GAP))
    print(f"{name}: {good} of {drawn} drawn alike ({good / max(1, drawn):.3%})")
    for kind, count in kinds.most_common():
        print(f"  {kind}: {count}")


if __name__ == "__main__":
    main()
