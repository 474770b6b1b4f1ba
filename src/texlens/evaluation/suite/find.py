"""A copy of a test set: in the folder of test sets, else on the hub."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from texlens.core.errors import ConfigError, DataError
from texlens.data.readers.registry import list_splits
from texlens.evaluation.suite.benchmarks import Benchmark

FOLDER_VARIABLE = "TEXLENS_BENCHMARKS"


@dataclass(frozen=True)
class Copy:
    """`path` and `split` as in `data.path` and `data.splits.test`."""

    benchmark: Benchmark
    path: str
    split: str


def suite_folder(folder: Path | None) -> Path:
    return folder or Path(os.environ.get(FOLDER_VARIABLE) or "data/benchmarks")


def find_copies(benchmarks: Sequence[Benchmark], folder: Path) -> tuple[list[Copy], list[Benchmark]]:
    """The copies, and the test sets without one.

    Raises:
        ConfigError: a suite has no copy at all.
        DataError: a copy is there but is no data set, or has several splits and none called test.
    """
    copies = {benchmark.name: copy for benchmark in benchmarks if (copy := find_copy(benchmark, folder))}
    missing = [benchmark for benchmark in benchmarks if benchmark.name not in copies]
    for suite in dict.fromkeys(benchmark.suite for benchmark in benchmarks):
        parts = [benchmark for benchmark in benchmarks if benchmark.suite == suite]
        if not any(part.name in copies for part in parts):
            first = parts[0]
            looked = ", ".join(str(folder / location.path) for location in first.locations)
            raise ConfigError(f"--suite {suite}: no copy of {first.name} ({looked}); get it from {first.obtain}")
    return list(copies.values()), missing


def find_copy(benchmark: Benchmark, folder: Path) -> Copy | None:
    for location in benchmark.locations:
        named = folder / location.path
        suffixed = sorted(folder.glob(f"{location.path}.*")) if not named.suffix else []
        path = named if named.exists() else next((file for file in suffixed if file.is_file()), None)
        if path is None:
            continue
        split = location.split or _only_split(path)
        if split in list_splits(str(path)):
            return Copy(benchmark, str(path), split)
    return Copy(benchmark, *benchmark.hub) if benchmark.hub else None


def _only_split(path: Path) -> str:
    splits = list(list_splits(str(path)))
    if "test" in splits or len(splits) == 1:
        return "test" if "test" in splits else splits[0]
    raise DataError(f"{path}: splits {', '.join(splits)} and none called test; keep the test rows alone there")
