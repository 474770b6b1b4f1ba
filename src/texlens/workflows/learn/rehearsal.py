"""Rows of the kind that a model reads already: some are trained on again, so that it doesn't forget them, and others
guard.

They come from the data of the run that the folder began with, from a data set that was named, or, for the bundled
model, from the generator of printed formulas. A label's hash decides whether its rows may guard, so no label does
both.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from texlens.config.load import load_saved_config
from texlens.core.errors import DataError
from texlens.core.run_folder import MANIFEST, RunFolder
from texlens.data.load import Rows, load_split
from texlens.data.sample import Sample
from texlens.inference.opening.run_checkpoint import run_of_weights
from texlens.inputs.build import read_split
from texlens.synthesis.rows import RowRecipe, SampleGenerator
from texlens.workflows.learn.decision import REHEARSAL

ROWS, GUARD_ROWS = 100, 60
_GUARD_SHARE = 0.2
_MAX_GENERATED = 20_000


@dataclass(frozen=True)
class Rehearsal:
    """`problem` says why there are no rows; "" where there are."""

    train: Sequence[Sample]
    guard: Sequence[Sample]
    problem: str = ""


def rehearsal_rows(
    start: str, data: str, *, rows: int = ROWS, guard_rows: int = GUARD_ROWS, seed: int = 0
) -> Rehearsal:
    """The same rows for the same arguments; guard rows don't depend on `seed`.

    Args:
        start: the model that the folder began with.
        data: a data set whose `train` rows are taken instead; "" for what belongs to the model.
        rows: to train on; 0 for none (and none that guard).
        seed: draws the rows that are trained on, others in each round.
    """
    if not rows:
        return Rehearsal((), (), "switched off")
    try:
        source = _source(start, data)
    except DataError as error:
        return Rehearsal((), (), str(error))
    guard = list(islice((each for each in source(0) if _may_guard(each)), guard_rows))
    train = list(islice((each for each in source(seed) if not _may_guard(each)), rows))
    return Rehearsal([_named(each, "rehearsal") for each in train], [_named(each, "guard") for each in guard])


def run_of(model: str) -> RunFolder | None:
    """The run that a model's name refers to, None for others."""
    path = Path(model)
    return RunFolder(path) if (path / MANIFEST).is_file() else run_of_weights(path) if path.is_dir() else None


def _source(start: str, data: str) -> Callable[[int], Iterator[Sample]]:
    """What gives the rows in an order drawn by a seed.

    Raises:
        DataError: no data set there, or no rows that belong to this model.
    """
    run = run_of(start)
    if data:
        rows: Rows = load_split(data)
    elif run is not None:
        rows = read_split(load_saved_config(run.config).data, "train")
    elif start == "nano":
        return _printed
    else:
        raise DataError(f"no rows are known that {start} reads already; name some with --rehearsal-data")
    return lambda seed: (rows[index] for index in np.random.default_rng(seed).permutation(len(rows)).tolist())


def _printed(seed: int) -> Iterator[Sample]:
    generator = SampleGenerator(RowRecipe("printed", max_tokens=40, seed=seed))
    generated = (generator.make(number) for number in range(_MAX_GENERATED))
    return (row.sample() for row in generated if row.image is not None)


def _may_guard(sample: Sample) -> bool:
    digest = hashlib.sha256(f"guard {''.join(sample.text.split())}".encode(errors="replace")).digest()
    return digest[0] < _GUARD_SHARE * 256


def _named(sample: Sample, what: str) -> Sample:
    return replace(sample, id=f"{what}-{sample.id}", domain=REHEARSAL, extra={})
