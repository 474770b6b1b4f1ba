"""What `init` looks at before it chooses: splits, numbers of rows, labels and image sizes."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from texlens.core.errors import DataError, TexlensError
from texlens.data.load import Rows, load_split
from texlens.data.readers.protocol import ReadOptions
from texlens.data.readers.registry import list_splits
from texlens.data.resolution import read_sizes

MAX_HEADERS = 2_000
"""Rows whose image headers are read; the percentiles of more change little."""


@dataclass(frozen=True)
class DataOverview:
    """A data set as `init` sees it.

    Attributes:
        splits: rows by the name of the split; empty where the data could not be read.
        labels: different labels of the train split, without whitespace.
        longest_label: characters; of the longest label in the train split.
        largest_pixels: width x height that 99% of the images do not exceed.
        problem: why the data could not be read, or None.
    """

    path: str
    subset: str | None
    splits: Mapping[str, int]
    train: str = "train"
    labels: int = 0
    longest_label: int = 0
    largest_pixels: int = 0
    problem: str | None = None

    @property
    def rows(self) -> int:
        """Of the train split."""
        return self.splits.get(self.train, 0)

    def to_json(self) -> dict:
        return asdict(self)


def data_overview(path: str, subset: str | None = None) -> DataOverview:
    """Never raises for data that can't be read, a hub without a network for instance; `problem` says why."""
    try:
        return _overview(path, subset)
    except TexlensError as error:
        return DataOverview(path, subset, {}, problem=str(error))


def _overview(path: str, subset: str | None) -> DataOverview:
    splits = {
        name: load_split(path, split=name, subset=subset) for name in list_splits(path, "auto", ReadOptions(subset))
    }
    train = _train_split(path, splits)
    rows = splits[train]
    labels = rows.texts()
    return DataOverview(
        path,
        subset,
        {name: len(part) for name, part in splits.items()},
        train,
        len({"".join(label.split()) for label in labels}),
        max(map(len, labels)),
        _pixels_of_most(rows),
    )


def _train_split(path: str, splits: Mapping[str, Rows]) -> str:
    """`train`, else the split with the most rows.

    Raises:
        DataError: no split has a row.
    """
    name = "train" if "train" in splits else max(splits, key=lambda split: len(splits[split]), default="")
    if not name or not len(splits[name]):
        raise DataError(f"{path}: no row in it; check data.path")
    return name


def _pixels_of_most(rows: Rows) -> int:
    sizes = read_sizes([rows.draw(limit=MAX_HEADERS)])
    areas = sorted(width * height for images in sizes.images for width, height in images)
    return areas[min(len(areas) - 1, int(0.99 * len(areas)))] if areas else 0


def split_named(names: Sequence[str], *candidates: str) -> str | None:
    """The first of `candidates` that is among `names`."""
    return next((name for name in candidates if name in names), None)
