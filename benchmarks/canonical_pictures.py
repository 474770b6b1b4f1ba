"""Draw every formula of some files before and after canonical form, and compare the pictures.

    python benchmarks/canonical_pictures.py FOLDER [--limit N] [--show KIND]

FOLDER holds parquet files with a `text` column and `.txt.gz` files of one formula a line; each sub-folder is a set.
Prints, for each set, how many pictures are equal, how many differ as the spacing rule of docs/metrics/canonical.md
allows, and every other kind of difference with its count; then the speed of `canonical`.
"""

import argparse
import gzip
import time
from collections import Counter, defaultdict
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet

from texlens.core.errors import LatexError
from texlens.latex.boxes import Layout, PlacedGlyph
from texlens.latex.canonical import canonical, canonical_form
from texlens.latex.draw import draw
from texlens.latex.layout import layout

EXACT_EM, THIN_EM, HALF_EM, SCRIPT_EM = 0.01, 1 / 6 + 0.011, 0.5, 0.2
EQUAL = ("equal", "within a thin space", "within two thin spaces", "array's half em", "script of a fence or group")


def sets(folder: Path, limit: int) -> dict[str, list[str]]:
    """Distinct formulas of each sub-folder."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).parts[0]
        if path.suffix == ".parquet":
            found[name] |= dict.fromkeys(parquet.read_table(path, columns=["text"]).column("text").to_pylist())
        elif path.name.endswith(".txt.gz"):
            with gzip.open(path, "rt", encoding="utf-8") as lines:
                found[name] |= dict.fromkeys(line.rstrip("\n") for line in islice(lines, limit))
    return {name: list(formulas)[:limit] for name, formulas in found.items()}


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
    if kind == "a gap changed" and "array" in formula and "matrix}" in form.text:
        kind = "array's half em"
    if "\\dots" in formula and kind == "another glyph":
        kind = r"\dots before an operator, which layout sets low and amsmath centres"
    if canonical(form.text).text != form.text:
        return "not idempotent"
    return kind


def difference(before: Layout, after: Layout) -> str:
    if len(before.glyphs) != len(after.glyphs):
        return "glyphs more or fewer"
    if len(before.rules) != len(after.rules):
        return "rules more or fewer"
    if any(a.glyph_id != b.glyph_id or a.font != b.font for a, b in zip(before.glyphs, after.glyphs, strict=True)):
        return "another glyph"
    if any(abs(a.size - b.size) > EXACT_EM for a, b in zip(before.glyphs, after.glyphs, strict=True)):
        return "another size"
    first, second = _places(before), _places(after)
    moved = np.abs(first - second)
    if moved.size == 0 or moved.max() <= EXACT_EM:
        return "equal"
    if moved[:, 1].max() > SCRIPT_EM:
        return "moved up or down"
    change = _largest_gap_change(before.glyphs, after.glyphs)
    if change > 2 * THIN_EM:
        return "a gap changed"
    if moved[:, 1].max() > EXACT_EM:
        return "script of a fence or group"
    return "within a thin space" if change <= THIN_EM else "within two thin spaces"


def _places(drawn: Layout) -> np.ndarray:
    """x and y of every mark, from the leftmost ink and the first mark's height; rules by both ends."""
    places = [(glyph.x, glyph.y) for glyph in drawn.glyphs]
    places += [(rule.x, rule.y) for rule in drawn.rules]
    ends = [(rule.x + rule.width, rule.y + rule.height) for rule in drawn.rules]
    array = np.array(places + ends or [(0.0, 0.0)])
    array -= array[:, 0].min(), array[0, 1]
    return array


def _largest_gap_change(before: tuple[PlacedGlyph, ...], after: tuple[PlacedGlyph, ...]) -> float:
    """The most that a gap on a line changes; what moves further than its lines grew counts as a gap too.

    Glyphs that follow one another at one height are on a line. From one line to the next (numerator to denominator,
    cell to cell) a mark may move by all that gaps changed, since it is centred or set in a column.
    """
    slack = largest = 0.0
    jumps = []
    for i in range(1, len(before)):
        change = abs((after[i].x - after[i - 1].x) - (before[i].x - before[i - 1].x))
        if abs(before[i].y - before[i - 1].y) < 1e-6 and abs(after[i].y - after[i - 1].y) < 1e-6:
            largest = max(largest, change)
            slack += change
        else:
            jumps.append(change)
            slack += min(change, THIN_EM)
    return max([largest, *(jump for jump in jumps if jump > slack + THIN_EM)])


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
    good = sum(kinds[kind] for kind in EQUAL)
    print(f"{name}: {good} of {drawn} drawn alike ({good / max(1, drawn):.3%})")
    for kind, count in kinds.most_common():
        print(f"  {kind}: {count}")


if __name__ == "__main__":
    main()
