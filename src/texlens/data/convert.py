"""Rows from anywhere into a data set folder: importing, converting, dividing into splits, mixing.

All of them pass over their rows once, in the same order in each run, hold one shard in memory, and take up what a
killed run left.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from texlens.core.errors import ConfigError, DataError
from texlens.data.folder.statistics import statistics_if_made_by
from texlens.data.folder.writer import FolderWriter
from texlens.data.groups import RowGroups, split_groups
from texlens.data.load import Rows
from texlens.data.sample import LazyImage, RejectedRow, Sample

PNG_HEAD, PNG_END = b"\x89PNG", b"IEND"

OnRow = Callable[[int], None]


@dataclass(frozen=True)
class SplitPart:
    """Rows that go to a split, each changed by `change` where one is given."""

    split: str
    rows: Rows
    change: Callable[[Sample], Sample] | None = None


def write_parts(
    folder: str | Path,
    parts: Sequence[SplitPart],
    made_by: Mapping[str, Any],
    *,
    overwrite: bool = False,
    decode: bool = False,
    on_row: OnRow = lambda count: None,
) -> tuple[dict[str, Any], bool]:
    """The folder's account, and whether it stood there already, made from just this.

    Args:
        made_by: what was asked for; the parts' fingerprints are added, so that a changed source is written again.
        decode: decode every image, so that a damaged one is rejected; else headers and a PNG's end are looked at.
        on_row: called with the number of rows passed over.

    Raises:
        DataError: no row could be kept, or the folder holds something else.
    """
    made_by = {**made_by, "rows": [[part.split, part.rows.fingerprint] for part in parts]}
    statistics = statistics_if_made_by(folder, made_by)
    if statistics is not None:
        return statistics, True
    with FolderWriter(folder, made_by=made_by, resume=True, overwrite=overwrite) as writer:
        for part in parts:
            for offered in _offers(part):
                if not writer.skip(part.split):
                    _write(writer, part, offered(), decode)
                on_row(1)
    return writer.statistics, False


def split_rows(
    splits: Mapping[str, Rows], shares: Mapping[str, float], *, by: Sequence[str], seed: int, on_row: OnRow
) -> list[SplitPart]:
    """All rows as new splits with these shares, drawn by `seed`; rows that share a key stay together.

    Args:
        by: what must not are in two splits: `label` (without whitespace), `image` (the file's content), or both;
            `row` alone divides row by row.

    Raises:
        ConfigError: shares that don't come to 1, or an unknown key.
        DataError: too few groups for the parts.
    """
    if abs(sum(shares.values()) - 1) > 1e-6 or min(shares.values()) < 0:
        raise ConfigError(f"shares of {sum(shares.values()):g}; --train, --validation and --test must come to 1")
    pools = list(splits.items())
    groups = RowGroups()
    for _, rows in pools:
        for index in range(len(rows)):
            groups.add(_keys(rows, index, by))
            on_row(1)
    positive_shares = {name: share for name, share in shares.items() if share > 0}
    assigned = split_groups(groups.members(), positive_shares, seed)
    twice = _repeated_ids([rows for _, rows in pools])
    return [part for split in positive_shares for part in _chosen(pools, split, assigned, twice)]


def mix(sources: Mapping[str, tuple[Mapping[str, Rows], float]], *, seed: int) -> list[SplitPart]:
    """Rows of several data sets: of each `train` the share is drawn by `seed`, other splits are taken whole.

    Each row's domain is the source's name (and its own behind a slash, where it has one), and its id begins with it.

    Raises:
        ConfigError: a share outside 0 to 1.
    """
    parts = []
    for name, (splits, share) in sources.items():
        if not 0 < share <= 1:
            raise ConfigError(f"{name}:{share:g}: a share is more than 0 and at most 1; name a smaller one")
        for split, rows in splits.items():
            drawn = rows.draw(fraction=share, seed=seed) if split == "train" else rows
            parts.append(SplitPart(split, drawn, _into_domain(name)))
    return parts


def check_images(sample: Sample, *, decode: bool = False) -> Sample:
    """The sample with its images in memory, each looked at.

    Raises:
        DataError: an image that can't be read, over the size limit, or cut short.
    """
    first, *others = [_looked_at(image, decode) for image in sample.images]
    return replace(sample, image=first, more_images=tuple(others))


def _offers(part: SplitPart) -> Iterator[Callable[[], Sample | RejectedRow]]:
    """What gives each row, in an order that is always the same: those that the source rejected go first."""
    for rejected_row in part.rows.rejected:
        yield lambda rejected_row=rejected_row: rejected_row
    for index in range(len(part.rows)):
        yield lambda index=index: part.rows[index]


def _write(writer: FolderWriter, part: SplitPart, row: Sample | RejectedRow, decode: bool) -> None:
    if isinstance(row, RejectedRow):
        writer.reject(part.split, row)
        return
    kind = "unreadable image"
    try:
        whole = check_images(row, decode=decode)
        kind = "row"
        writer.add(part.split, part.change(whole) if part.change else whole)
    except DataError as error:
        writer.reject(part.split, RejectedRow.from_error(row, error, kind))


def _looked_at(image: LazyImage, decode: bool) -> LazyImage:
    data = image.encoded()
    held = LazyImage(lambda: data, image.where, read_name=lambda: image.name, max_pixels=image.max_pixels)
    if not data:
        raise DataError(f"{image.where}: 0 bytes; download the image again or remove the row")
    if decode:
        held.load()
    _ = held.size
    if data.startswith(PNG_HEAD) and data.rfind(PNG_END) < 0:
        raise DataError(f"{image.where}: the PNG ends after {len(data):,} bytes; download it again or remove the row")
    return held


def _keys(rows: Rows, index: int, by: Sequence[str]) -> list[bytes]:
    keys = []
    if "label" in by:
        keys.append(b"l" + hashlib.sha256("".join(rows.text(index).split()).encode(errors="replace")).digest()[:16])
    if "image" in by:
        keys.extend(_image_keys(rows[index]))
    if unknown := set(by) - {"label", "image", "row"}:
        raise ConfigError(f"--by {', '.join(unknown)}: use label, image or row")
    return keys


def _image_keys(sample: Sample) -> list[bytes]:
    """A row whose image can't be read is alone; it is rejected when it is written."""
    try:
        return [b"i" + hashlib.sha256(image.encoded()).digest()[:16] for image in sample.images]
    except DataError:
        return []


def _chosen(
    pools: Sequence[tuple[str, Rows]], split: str, assigned: Sequence[str], twice: frozenset[int]
) -> Iterator[SplitPart]:
    start = 0
    for name, rows in pools:
        chosen = [index for index in range(len(rows)) if assigned[start + index] == split]
        start += len(rows)
        part = rows.take(chosen, with_rejected=split == _split_of_rejected(assigned))
        yield SplitPart(split, part, _with_old_split(name, twice))


def _split_of_rejected(assigned: Sequence[str]) -> str:
    """Rows that could not be read are accounted for in the split that has most rows."""
    return max(sorted(set(assigned)), key=assigned.count)


def _repeated_ids(pools: Sequence[Rows]) -> frozenset[int]:
    """Hashes of ids that are in several of the old splits."""
    known_ids: set[int] = set()
    twice: set[int] = set()
    for rows in pools:
        ids = set(map(hash, rows.ids()))
        twice |= known_ids & ids
        known_ids |= ids
    return frozenset(twice)


def _with_old_split(name: str, twice: frozenset[int]) -> Callable[[Sample], Sample]:
    def change(sample: Sample) -> Sample:
        return replace(sample, id=f"{name}/{sample.id}") if hash(sample.id) in twice else sample

    return change


def _into_domain(name: str) -> Callable[[Sample], Sample]:
    def change(sample: Sample) -> Sample:
        domain = name if sample.domain in (None, name) else f"{name}/{sample.domain}"
        return replace(sample, id=f"{name}/{sample.id}", domain=domain)

    return change
