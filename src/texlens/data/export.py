"""A data set as files for other programs: `<split>.json` (or .jsonl, .csv) with the images in `images/<split>/` beside.

Written aside and renamed whole. After a kill the rows whose journal entry stands are kept: an entry says how long the
data file was when its images were all on the disk.
"""

import io
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from texlens.core.errors import DataError
from texlens.core.files import swap_in, write_json
from texlens.data.convert import OnRow
from texlens.data.folder.statistics import REJECTED
from texlens.data.load import Rows
from texlens.data.sample import LazyImage, RejectedRow, Sample
from texlens.data.writers.protocol import RowFormat, check_round_trip

STATISTICS = "texlens-export.json"
JOURNAL = "journal.json"
JOURNAL_ROWS = 1_000
UNSAFE = re.compile(r"[^\w.-]+")
SUFFIXES_BY_SIGNATURE = {
    b"\x89PNG": ".png",
    b"\xff\xd8": ".jpg",
    b"GIF8": ".gif",
    b"BM": ".bmp",
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
}
MAX_NAME_LENGTH = 80


@dataclass
class _Progress:
    """How far a split is: rows dealt with, and the data file's length after them."""

    rows_in: int = 0
    written: int = 0
    bytes: int = 0
    rejected: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class _Output:
    """The folder that is written, and how its rows are."""

    staging: Path
    format: RowFormat
    progress: dict[str, _Progress]
    jpeg: bool
    ids: str | None


def export(
    splits: Mapping[str, Rows],
    folder: str | Path,
    format: RowFormat,
    made_by: Mapping[str, Any],
    *,
    jpeg: bool = False,
    ids: str | None = None,
    overwrite: bool = False,
    on_row: OnRow = lambda count: None,
) -> tuple[dict[str, Any], bool]:
    """The account, and whether the folder stood there already, made from just this.

    Args:
        jpeg: store images as JPEG instead of byte by byte as they are.
        ids: number the written rows of each split `ids_1`, `ids_2`, … in place of their own ids.

    Raises:
        DataError: the folder holds something else, or no row could be written.
    """
    folder = Path(folder).absolute()
    made_by = {**made_by, "rows": {split: rows.fingerprint for split, rows in splits.items()}}
    standing = _read(folder / STATISTICS)
    if standing and standing.get("made_by") == made_by:
        return standing, True
    _check_destination(folder, standing is not None, overwrite)
    staging = folder.with_name(f".{folder.name}.partial")
    if (_read(staging / "made_by.json") or None) != made_by:
        shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True, exist_ok=True)
    write_json(staging / "made_by.json", made_by)
    progress = {split: _Progress(**state) for split, state in (_read(staging / JOURNAL) or {}).items()}
    output = _Output(staging, format, progress, jpeg, ids)
    for split, rows in splits.items():
        _write_split(output, split, rows, on_row)
    statistics = _statistics(made_by, progress)
    if not statistics["kept"]:
        shutil.rmtree(staging)
        first = next((rejected_row for state in progress.values() for rejected_row in state.rejected), None)
        why = f"; the first: {first['where']}: {first['reason']}" if first else ": the source is empty"
        raise DataError(f"{folder}: no row could be written{why}")
    for name in (JOURNAL, "made_by.json"):
        (staging / name).unlink(missing_ok=True)
    write_json(staging / STATISTICS, statistics)
    _write_rejected(staging, progress)
    os.sync()
    swap_in(staging, folder, flushed=True)
    return statistics, False


def _write_split(output: _Output, split: str, rows: Rows, on_row: OnRow) -> None:
    staging, format, ids = output.staging, output.format, output.ids
    state = output.progress.setdefault(split, _Progress())
    images = staging / "images" / split
    images.mkdir(parents=True, exist_ok=True)
    with (staging / f"{split}{format.suffix}").open("ab") as file:
        file.truncate(state.bytes)
        file.seek(0, os.SEEK_END)
        if not state.bytes:
            file.write(format.head.encode())
        on_row(state.rows_in)
        if not state.rows_in:
            _reject(state, rows.rejected)
        rejected_by_source = len(rows.rejected)
        for index in range(max(0, state.rows_in - rejected_by_source), len(rows)):
            sample = rows[index]
            try:
                numbered = replace(sample, id=f"{ids}_{state.written + 1}") if ids is not None else sample
                line = _row(numbered, index, split, output)
                file.write((format.between.encode() if state.written else b"") + line)
                state.written += 1
            except DataError as error:
                state.rejected.append(RejectedRow.from_error(sample, error, "not held").to_json())
            state.rows_in += 1
            on_row(1)
            if state.rows_in % JOURNAL_ROWS == 0:
                _journal(staging, file, state, output.progress)
        _journal(staging, file, state, output.progress)
        file.write(format.foot.encode())


def _row(sample: Sample, index: int, split: str, output: _Output) -> bytes:
    """The row's text; its images lie on the disk afterwards.

    Raises:
        DataError: the format can't hold the row, or an image can't be read.
    """
    contents = [_as_jpeg(image) if output.jpeg else image.encoded() for image in sample.images]
    files = [f"images/{split}/{_file_name(sample, index, number, data)}" for number, data in enumerate(contents)]
    line = output.format.line(sample, files)
    read_back = output.format.read(line, output.staging)
    check_round_trip(sample, files, read_back, output.staging, output.format.name)
    for file, data in zip(files, contents, strict=True):
        (output.staging / file).write_bytes(data)
    try:
        return line.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{sample.image.where}: a character that UTF-8 can't hold ({error.reason})") from error


def _as_jpeg(image: LazyImage) -> bytes:
    """The image as a JPEG of Pillow's default quality, 75; one that is a JPEG already stays as it is."""
    encoded = image.encoded()
    if encoded.startswith(b"\xff\xd8"):
        return encoded
    data = io.BytesIO()
    image.load().convert("RGB").save(data, "JPEG")
    return data.getvalue()


def _file_name(sample: Sample, index: int, number: int, data: bytes) -> str:
    """The row's number and what is left of its id, with the ending of the image's kind.

    Example:
        id "deep/a b", row 7, second image, a PNG -> "0000007-1-deep_a_b.png"
    """
    kind = next((ending for head, ending in SUFFIXES_BY_SIGNATURE.items() if data.startswith(head)), None)
    kind = kind or (".webp" if data[8:12] == b"WEBP" else ".png")
    suffix = f"-{number}" if len(sample.images) > 1 else ""
    return f"{index:07d}{suffix}-{UNSAFE.sub('_', sample.id)[:MAX_NAME_LENGTH]}{kind}"


def _journal(staging: Path, file: IO[bytes], state: _Progress, progress: Mapping[str, _Progress]) -> None:
    file.flush()
    os.fsync(file.fileno())
    state.bytes = file.seek(0, os.SEEK_CUR)
    write_json(staging / JOURNAL, {split: asdict(each) for split, each in progress.items()})


def _reject(state: _Progress, rejected: list[RejectedRow]) -> None:
    state.rejected.extend(rejected_row.to_json() for rejected_row in rejected)
    state.rows_in += len(rejected)


def _statistics(made_by: Mapping[str, Any], progress: Mapping[str, _Progress]) -> dict[str, Any]:
    splits = {
        split: {"rows_in": state.rows_in, "kept": state.written, "rejected": len(state.rejected), "merged": 0}
        for split, state in progress.items()
    }
    totals = {what: sum(split[what] for split in splits.values()) for what in ("rows_in", "kept", "rejected", "merged")}
    kinds = Counter(rejected_row["kind"] for state in progress.values() for rejected_row in state.rejected)
    return {"made_by": made_by, **totals, "rejected_by_kind": dict(kinds), "splits": splits}


def _write_rejected(staging: Path, progress: Mapping[str, _Progress]) -> None:
    lines = [
        json.dumps({"split": split, **rejected_row}, ensure_ascii=False)
        for split, state in progress.items()
        for rejected_row in state.rejected
    ]
    if lines:
        (staging / REJECTED).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _check_destination(folder: Path, ours: bool, overwrite: bool) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not ours:
        raise DataError(f"{folder}: holds something else than an export of texlens; name a new folder with -o")
    if not overwrite:
        raise DataError(f"{folder}: holds another export; name a new folder with -o, or add --overwrite")


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
