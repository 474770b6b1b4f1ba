"""What stands in two splits: rows whose label or image is known from another split are no test of reading."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

from texlens.data.validate.row_keys import Mark

ORDER = ("train", "validation", "val", "valid", "dev", "test")


@dataclass(frozen=True)
class Overlap:
    """How much of split `of` also stands in split `inside`.

    `labels` are different ones, `shared_labels` of them stand in both; `label_rows` and `image_rows` are rows of `of`.
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
            test: 23 of 23 different labels (70 of 70 rows) also stand in train
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
        return f"{self.of}: {' and '.join(parts) or 'nothing'} also {'stand' if parts else 'stands'} in {self.inside}"

    @property
    def leaks(self) -> bool:
        return bool(self.shared_labels or self.image_rows)

    def to_json(self) -> dict:
        return {**asdict(self), "says": str(self)}


def by_role(splits: Iterable[str]) -> list[str]:
    """Train first, then validation, test, and whatever else there is."""
    names = list(splits)
    return sorted(names, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), names.index(name)))


def overlaps(marks: Iterable[Mark]) -> list[Overlap]:
    """One entry an ordered pair of splits: each in each other."""
    splits: dict[str, list[Mark]] = {}
    for mark in marks:
        splits.setdefault(mark.split, []).append(mark)
    names = by_role(splits)
    return [_overlap(splits[of], splits[inside]) for of in names for inside in names if of != inside]


def _overlap(rows: Sequence[Mark], others: Sequence[Mark]) -> Overlap:
    labels, images = ({getattr(mark, what) for mark in others} - {b""} for what in ("label", "image"))
    shared = [mark.label for mark in rows if mark.label in labels]
    same = sum(mark.image in images for mark in rows)
    return Overlap(
        rows[0].split,
        others[0].split,
        len(rows),
        len(shared),
        len({mark.label for mark in rows} - {b""}),
        len(set(shared)),
        same,
        _run(rows, others) if 1 < len(rows) == same == len(shared) else None,
    )


def _run(rows: Sequence[Mark], others: Sequence[Mark]) -> int | None:
    wanted = [(mark.image, mark.label) for mark in rows]
    there = [(mark.image, mark.label) for mark in others]
    starts = (start for start, pair in enumerate(there) if pair == wanted[0])
    return next((start for start in starts if there[start : start + len(wanted)] == wanted), None)


def leaks(marks: Sequence[Mark]) -> Iterator[tuple[Mark, Mark, str]]:
    """(row, the row of an earlier split that it shares with, kind): `image-leak` or `label-leak`; train comes first."""
    order = {name: place for place, name in enumerate(by_role(dict.fromkeys(mark.split for mark in marks)))}
    first: dict[tuple[str, bytes], Mark] = {}
    for mark in sorted(marks, key=lambda mark: (order[mark.split], mark.row)):
        for kind, value in (("image-leak", mark.image), ("label-leak", mark.label)):
            if value:
                earlier = first.setdefault((kind, value), mark)
                if earlier.split != mark.split:
                    yield mark, earlier, kind
