"""What is in two splits: rows whose label or image is known from another split are no test of reading."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

from texlens.data.validate.row_keys import RowKeys

ORDER = ("train", "validation", "val", "valid", "dev", "test")


@dataclass(frozen=True)
class Overlap:
    """How much of split `of` is also in split `inside`.

    `labels` counts distinct labels, `shared_labels` those in both; `label_rows` and `image_rows` count rows of `of`.
    `run` is where its images begin in `inside`, if they stand there one after another in the same order.
    """

    of: str
    inside: str
    rows: int
    label_rows: int
    labels: int
    shared_labels: int
    image_rows: int
    run: int | None = None

    def __str__(self) -> str:
        """
        Example:
            validation: all 30 rows are rows 0 to 29 of train
            test: 23 of 23 different labels (70 of 70 rows) are also in train
        """
        if self.run is not None:
            last = self.run + self.rows - 1
            return f"{self.of}: all {self.rows:,} rows are rows {self.run:,} to {last:,} of {self.inside}"
        parts = []
        if self.shared_labels:
            labels = f"{self.shared_labels:,} of {self.labels:,} different labels"
            parts.append(f"{labels} ({self.label_rows:,} of {self.rows:,} rows)")
        if self.image_rows:
            parts.append(f"{self.image_rows:,} of {self.rows:,} images")
        return f"{self.of}: {' and '.join(parts) or 'nothing'} {'are' if parts else 'is'} also in {self.inside}"

    @property
    def leaks(self) -> bool:
        return bool(self.shared_labels or self.image_rows)

    def to_json(self) -> dict:
        return {**asdict(self), "says": str(self)}


def by_role(splits: Iterable[str]) -> list[str]:
    """Train first, then validation, test, and whatever else there is."""
    names = list(splits)
    return sorted(names, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), names.index(name)))


def overlaps(keys_of_rows: Iterable[RowKeys]) -> list[Overlap]:
    """One entry an ordered pair of splits: each in each other."""
    splits: dict[str, list[RowKeys]] = {}
    for keys in keys_of_rows:
        splits.setdefault(keys.split, []).append(keys)
    names = by_role(splits)
    return [_overlap(splits[of], splits[inside]) for of in names for inside in names if of != inside]


def _overlap(rows: Sequence[RowKeys], others: Sequence[RowKeys]) -> Overlap:
    labels, images = ({getattr(keys, what) for keys in others} - {b""} for what in ("label", "image"))
    shared = [keys.label for keys in rows if keys.label in labels]
    same = sum(keys.image in images for keys in rows)
    return Overlap(
        rows[0].split,
        others[0].split,
        len(rows),
        len(shared),
        len({keys.label for keys in rows} - {b""}),
        len(set(shared)),
        same,
        _run(rows, others) if 1 < len(rows) == same == len(shared) else None,
    )


def _run(rows: Sequence[RowKeys], others: Sequence[RowKeys]) -> int | None:
    pairs = [(keys.image, keys.label) for keys in rows]
    other_pairs = [(keys.image, keys.label) for keys in others]
    starts = (start for start, pair in enumerate(other_pairs) if pair == pairs[0])
    return next((start for start in starts if other_pairs[start : start + len(pairs)] == pairs), None)


def leaks(keys_of_rows: Sequence[RowKeys]) -> Iterator[tuple[RowKeys, RowKeys, str]]:
    """(row, the row of an earlier split that it shares with, kind): `image-leak` or `label-leak`; train comes first."""
    order = {name: rank for rank, name in enumerate(by_role(dict.fromkeys(keys.split for keys in keys_of_rows)))}
    first: dict[tuple[str, bytes], RowKeys] = {}
    for keys in sorted(keys_of_rows, key=lambda keys: (order[keys.split], keys.row)):
        for kind, value in (("image-leak", keys.image), ("label-leak", keys.label)):
            if value:
                earlier = first.setdefault((kind, value), keys)
                if earlier.split != keys.split:
                    yield keys, earlier, kind
