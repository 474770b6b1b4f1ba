"""Rows of a data set: a lazy view of a source, the draw of some of them, and splits that share no label."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Literal, overload

import numpy as np

from texlens.core.errors import DataError
from texlens.data.edits.edited_source import edited
from texlens.data.fingerprint import rows_fingerprint
from texlens.data.readers.changed_images import ChangedImages
from texlens.data.readers.protocol import ReadOptions, Source
from texlens.data.readers.registry import open_source
from texlens.data.sample import LazyImage, RejectedRow, Sample

SPLIT = re.compile(r"^(?P<name>[^\[\]@]+)(?:@(?P<seed>\d+))?(?:\[(?P<first>\d*|\d*\.\d+):(?P<last>\d*|\d*\.\d+)\])?$")
"""A split's name, the seed that its rows are shuffled by, and a slice of them in rows or shares."""


class Rows(Sequence[Sample]):
    """Some rows of a source, in its order. Nothing but texts is read until a sample's image is asked for."""

    def __init__(self, source: Source, numbers: Sequence[int], rejected: Mapping[int, RejectedRow] | None = None):
        self._source = source
        self._numbers = list(numbers)
        self._rejected = dict(rejected or {})

    @property
    def where(self) -> str:
        return self._source.where

    @property
    def rejected(self) -> list[RejectedRow]:
        """Rows that could not even be read as a row."""
        return list(self._rejected.values())

    @property
    def total(self) -> int:
        return len(self) + len(self._rejected)

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> "Rows": ...
    def __getitem__(self, index):
        if isinstance(index, slice):
            return Rows(self._source, self._numbers[index])
        return self._source.sample(self._numbers[index])

    def text(self, index: int) -> str:
        return self._source.text(self._numbers[index])

    def texts(self) -> list[str]:
        return [self._source.text(number) for number in self._numbers]

    def ids(self) -> list[str]:
        return [self._source.id(number) for number in self._numbers]

    def take(self, indices: Sequence[int], *, with_rejected: bool = False) -> "Rows":
        """The rows at these places, and the rejected ones where asked for."""
        return Rows(
            self._source, [self._numbers[index] for index in indices], self._rejected if with_rejected else None
        )

    def draw(self, *, fraction: float = 1.0, limit: int | None = None, seed: int = 0) -> "Rows":
        """A random part, see `drawn`; rejected rows are rows too and are drawn with the rest."""
        if fraction == 1.0 and (limit is None or limit >= self.total):
            return self
        everything = sorted([*self._numbers, *self._rejected])
        chosen = [everything[index] for index in drawn(len(everything), fraction=fraction, limit=limit, seed=seed)]
        return Rows(
            self._source,
            [number for number in chosen if number not in self._rejected],
            {number: self._rejected[number] for number in chosen if number in self._rejected},
        )

    def first(self, count: int) -> "Rows":
        """The first rows; rejected rows are rows too and count."""
        everything = sorted([*self._numbers, *self._rejected])[:count]
        return Rows(
            self._source,
            [number for number in everything if number not in self._rejected],
            {number: self._rejected[number] for number in everything if number in self._rejected},
        )

    def with_images(self, change: Callable[[LazyImage], bytes]) -> "Rows":
        """The same rows with images whose encoded bytes `change` gives."""
        return Rows(ChangedImages(self._source, change), self._numbers, self._rejected)

    @property
    def ignored(self) -> dict[str, int]:
        """Files in the source's folder that are not rows, by what they are."""
        return dict(getattr(self._source, "ignored", {}))

    @cached_property
    def fingerprint(self) -> str:
        """Changes with the rows, their order, the contents of their images, and the rejected rows."""
        return rows_fingerprint(self, map(str, self._rejected.values()))


def load_split(
    path: str,
    *,
    split: str = "train",
    subset: str | None = None,
    format: str = "auto",
    fraction: float = 1.0,
    limit: int | None = None,
    seed: int = 0,
    allow_outside: bool = False,
    image_column: str = "image",
    text_column: str = "text",
    captions: Literal["all", "one"] = "all",
    edits: str | None = None,
) -> Rows:
    """A split of a data set.

    Args:
        path: a folder, a file, an id of Hugging Face, `modelscope:owner/name`, or `demo`.
        split: its name, or some of its rows such as `train[:996]` or `train@222[:0.002]`, see `row_numbers`.
        fraction, limit, seed: a random part, see `drawn`.
        edits: a file of edits, or one of its versions, that is applied to the rows, see `edits.edited_source`.

    Raises:
        DataError: nothing readable there, or no such split, subset or edits.
    """
    match = SPLIT.match(split)
    name = match["name"] if match else split
    options = ReadOptions(subset, image_column, text_column, allow_outside, captions)
    source = open_source(str(path), name, format, options)
    if edits is not None:
        source = edited(source, name, edits)
    numbers = row_numbers(split, len(source))
    rows = Rows(
        source,
        [number for number in numbers if number not in source.rejected],
        {number: source.rejected[number] for number in numbers if number in source.rejected},
    )
    return rows.draw(fraction=fraction, limit=limit, seed=seed)


def drawn(count: int, *, fraction: float = 1.0, limit: int | None = None, seed: int = 0) -> list[int]:
    """Which of `count` rows are used, in their own order.

    All rows are shuffled once by `seed`; the first int(fraction x count) of that order stay, at least one, and of
    those the first `limit`. So a smaller limit or fraction is always a part of a larger one. The rows are those of
    `datasets`' `shuffle(seed).select(range(int(count * fraction)))`.

    Example:
        drawn(5) -> [0, 1, 2, 3, 4];  drawn(5, limit=2, seed=0) -> [2, 4]
    """
    count_drawn = min(count, max(1, int(fraction * count)), count if limit is None else limit)
    if count_drawn == count:
        return list(range(count))
    return sorted(np.random.default_rng(seed).permutation(count)[:count_drawn].tolist())


def split_by_label(rows: Rows, shares: Mapping[str, float], seed: int = 0) -> dict[str, Rows]:
    """Parts of `rows`, and what is left of them as `rest`; no label is in two parts.

    Labels are compared without whitespace. In an order drawn by `seed` they go, with all their rows, to each part
    until its share is reached as nearly as whole labels allow.

    Example:
        split_by_label(rows, {"validation": 0.05, "test": 0.1}) -> {"validation": …, "test": …, "rest": …}

    Raises:
        DataError: too few labels for all parts to have one.
    """
    groups: dict[str, list[int]] = {}
    for index, text in enumerate(rows.texts()):
        groups.setdefault("".join(text.split()), []).append(index)
    if len(groups) <= len(shares):
        raise DataError(
            f"{rows.where}: {len(groups)} different labels can't be divided into {len(shares) + 1} parts; "
            "take data.splits from splits of the data set"
        )
    values = list(groups.values())
    order = [values[index] for index in np.random.default_rng(seed).permutation(len(values))]
    parts: dict[str, list[list[int]]] = {}
    for later, (name, share) in zip(range(len(shares), 0, -1), shares.items(), strict=True):
        parts[name], order = _fill_part(order, share * len(rows), leave=later)
    parts["rest"] = order
    return {
        name: rows.take(sorted(index for group in members for index in group), with_rejected=name == "rest")
        for name, members in parts.items()
    }


def _fill_part(groups: list[list[int]], missing: float, *, leave: int) -> tuple[list[list[int]], list[list[int]]]:
    """Groups that come near to `wanted` rows, at least one, and the groups left over, at least `leave`."""
    taken: list[list[int]] = []
    left: list[list[int]] = []
    for number, group in enumerate(groups):
        can_spare = len(left) + len(groups) - number > leave
        if can_spare and len(group) / 2 <= missing:
            taken.append(group)
            missing -= len(group)
        else:
            left.append(group)
    if not taken:
        smallest = min(range(len(left)), key=lambda index: len(left[index]))
        taken.append(left.pop(smallest))
    return taken, left


def count_shared_labels(rows: Rows, others: Rows) -> tuple[int, int]:
    """How many rows of `rows` have a label that is also in `others`, and how many different labels that are."""
    known = {"".join(text.split()) for text in others.texts()}
    shared = [label for label in ("".join(text.split()) for text in rows.texts()) if label in known]
    return len(shared), len(set(shared))


def row_numbers(split: str, count: int) -> list[int]:
    """The numbers that a split such as `train@222[:0.002]` names, of `count` rows.

    `@SEED` shuffles as `Dataset.shuffle(seed)` of `datasets` does; a bound with a point is a share, of which the whole
    part of share x count is taken. So `train@222[:0.002]` are the rows of
    `train.shuffle(222).select(range(int(len(train) * 0.002)))`, in that order.

    Example:
        row_numbers("train[1:3]", 5) -> [1, 2];  row_numbers("train@0[:0.5]", 5) -> [4, 2]
    """
    match = SPLIT.match(split)
    if match is None:
        return list(range(count))
    first, last = (_bound(match[end], count) for end in ("first", "last"))
    order = list(range(count))
    if match["seed"]:
        order = np.random.default_rng(int(match["seed"])).permutation(count).tolist()
    return order[slice(first, last)]


def _bound(text: str | None, count: int) -> int | None:
    if not text:
        return None
    return int(float(text) * count) if "." in text else int(text)
