"""Rows of `grpo_nano.py`: what both arms are trained on, and 500 test rows a seed without a label of the training rows.

handwriting: school formulas as in the demo set (`pretraining/demo_data.py`), after the demo itself. Validation and test
rows are by the demo's eight writers (set "demo"), and by others, one a row, as untidy as the demo's ("others") and
half as much again ("untidy"). printed: the printed style of `texlens data synthesize`.
"""

import os
import random
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pyarrow.parquet as parquet

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from pretraining.demo_data import FEWEST_TOKENS, MOST_TOKENS, WRITERS, as_table, png, written
from pretraining.school_formulas import school_formula

from texlens.data.load import load_split
from texlens.latex.handwriting.writer import WriterStyle
from texlens.synthesis import RowRecipe, SampleGenerator

ROOT = Path(__file__).parents[1]
SEEDS = {"first": 40, "more": 41, "validation": 42, "test": 20261201}
"""A test's seed is this and its run's added up. Rates were chosen on the validation rows alone."""
OWN_WRITERS = range(WRITERS)
OTHER_WRITERS = {"more": range(100, 1100), "validation": range(2000, 3000), "test": range(4000, 9000)}
STRAYS = ("wobble", "size_wobble", "turn", "drift", "tilt", "slant")
FIRST_ROWS = 2000
"""Of a theme without a demo set."""
SPARE = 1.5
"""Formulas generated for each row wanted: some are too wide, or have a label that is in another part."""


@dataclass(frozen=True)
class RowSet:
    """Validation and test rows of one kind.

    Args:
        untidiness: factor of what the writers let stray (points, sizes, turns, base line, slant).
        own_writers: those of the demo.
    """

    name: str
    untidiness: float = 1.0
    own_writers: bool = False


HANDWRITTEN = (RowSet("demo", own_writers=True), RowSet("others"), RowSet("untidy", 1.5))


@dataclass(frozen=True)
class Theme:
    """
    Args:
        has_demo: the first fine-tuning is on the demo set, else on generated rows.
        more: generated rows that all arms go on with; 0 goes on with those of the first fine-tuning.
        drawn_tokens: an answer in training is cut here; the longest label of the handwriting has half as many tokens.
        max_new_tokens: of what is read.
    """

    name: str
    has_demo: bool
    more: int
    drawn_tokens: int = 48
    max_new_tokens: int = 96
    row_sets: tuple[RowSet, ...] = (RowSet("printed"),)

    @property
    def sets(self) -> tuple[str, ...]:
        return tuple(row_set.name for row_set in self.row_sets)


THEMES = {
    theme.name: theme
    for theme in (
        Theme("handwriting", has_demo=True, more=0, row_sets=HANDWRITTEN),
        Theme("handwriting-more", has_demo=True, more=4000, row_sets=HANDWRITTEN),
        Theme("printed", has_demo=False, more=0, drawn_tokens=96, max_new_tokens=128),
    )
}


def data_of(theme: Theme, folder: Path) -> dict[str, str]:
    """`data.path` of the first fine-tuning and of what follows."""
    first = "demo" if theme.has_demo else str(folder / "first")
    return {"first": first, "more": str(folder / "more") if theme.more else first}


def write_rows(theme: Theme, folder: Path, seeds: Sequence[int], test: int, validation: int) -> None:
    """Writes the folders first, more, validation-SET and test-SEED-SET under `folder`; those that exist are kept.

    Sets of one seed have the same formulas where their writing fits into an image, each set by its writers.
    """
    known = {_key(text) for text in _demo_texts()} if theme.has_demo else set()
    parts = [
        Part("first", SEEDS["first"], 0 if theme.has_demo else FIRST_ROWS),
        Part("more", SEEDS["more"], theme.more),
    ]
    parts += [Part("validation", SEEDS["validation"], validation, each.name, each) for each in theme.row_sets]
    for seed in seeds:
        parts += [Part("test", SEEDS["test"] + seed, test, f"{seed}-{each.name}", each) for each in theme.row_sets]
    with ProcessPoolExecutor(min(12, os.cpu_count() or 1)) as pool:
        texts: dict[int, set[str]] = {}
        for part in parts:
            file = folder / part.folder / "train-00000-of-00001.parquet"
            others = known.union(*(keys for seed, keys in texts.items() if seed != part.seed))
            if part.count and not file.is_file():
                rows = _unknown(_generated(pool, theme, part), others, part.count)
                file.parent.mkdir(parents=True, exist_ok=True)
                parquet.write_table(as_table(rows), file)
            if part.count:
                keys = {_key(text) for text in load_split(str(file.parent)).texts()}
                texts.setdefault(part.seed, set()).update(keys)


@dataclass(frozen=True)
class Part:
    """Rows of one folder: `kind` is first, more, validation or test; `name` distinguishes folders of a kind."""

    kind: str
    seed: int
    count: int
    name: str = ""
    row_set: RowSet = RowSet("")

    @property
    def writers(self) -> range:
        return OWN_WRITERS if self.row_set.own_writers else OTHER_WRITERS[self.kind]

    @property
    def folder(self) -> str:
        return f"{self.kind}-{self.name}" if self.name else self.kind


def _generated(pool, theme: Theme, part: Part) -> Iterator[dict]:
    if theme.has_demo:
        draw = partial(_handwritten, part.seed, part.writers, part.row_set.untidiness)
    else:
        draw = partial(_printed, part.seed)
    count = int(SPARE * part.count) + 20
    return (row for row in pool.map(draw, range(count), chunksize=20) if row is not None)


def _unknown(rows: Iterator[dict], known: set[str], count: int) -> list[dict]:
    """The first `count` rows whose labels are neither known nor those of a row before."""
    taken: dict[str, dict] = {}
    for row in rows:
        key = _key(row["text"])
        if key not in known and len(taken) < count:
            taken.setdefault(key, row)
    if len(taken) < count:
        raise SystemExit(f"{count} rows are wanted and {len(taken)} could be generated; raise SPARE")
    return list(taken.values())


def _handwritten(seed: int, writers: range, untidiness: float, number: int) -> dict | None:
    rng = random.Random(f"{seed} {number}")
    label = school_formula(rng)
    if not FEWEST_TOKENS <= len(label.split(" ")) <= MOST_TOKENS:
        return None
    style = WriterStyle.of_writer(writers[number % len(writers)])
    strays = {name: untidiness * getattr(style, name) for name in STRAYS}
    image = written(label, rng, replace(style, **strays))
    return None if image is None else _row(png(image), label, f"handwriting-{seed}-{number:05d}")


def _printed(seed: int, number: int) -> dict | None:
    row = SampleGenerator(RowRecipe("printed", min_tokens=8, max_tokens=60, seed=seed)).make(number)
    return None if row.image is None else _row(row.image, row.label, row.id)


def _row(image: bytes, text: str, name: str) -> dict:
    return {"image": {"bytes": image, "path": f"{name}.png"}, "text": text, "id": name}


def _demo_texts() -> Iterator[str]:
    for split in ("train", "validation", "test"):
        yield from load_split("demo", split=split).texts()


def _key(text: str) -> str:
    return "".join(text.split())
