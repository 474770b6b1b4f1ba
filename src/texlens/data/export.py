"""A data set as files for other programs: `<split>.json` (or .jsonl, .csv) with the images in `images/<split>/` beside.

Written aside and renamed whole. After a kill the rows whose journal entry stands are kept: an entry tells how long the
data file was when its images were all on the disk.
"""

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from texlens.core.errors import DataError
from texlens.core.files import swap_in, write_json
from texlens.data.convert import OnRow
from texlens.data.folder import REFUSED
from texlens.data.load import Rows
from texlens.data.sample import Refusal, Sample
from texlens.data.writers.protocol import RowFormat, refuse_loss

ACCOUNT = "texlens-export.json"
JOURNAL = "journal.json"
ROWS_A_JOURNAL = 1_000
UNSAFE = re.compile(r"[^\w.-]+")
ENDINGS = {b"\x89PNG": ".png", b"\xff\xd8": ".jpg", b"GIF8": ".gif", b"BM": ".bmp", b"II*\0": ".tif", b"MM\0*": ".tif"}
LONGEST_NAME = 80


@dataclass
class _Progress:
    """How far a split is: rows dealt with, and the data file's length after them."""

    rows_in: int = 0
    kept: int = 0
    bytes: int = 0
    refused: list[dict[str, str]] = field(default_factory=list)


def export(
    splits: Mapping[str, Rows],
    folder: str | Path,
    format: RowFormat,
    made_by: Mapping[str, Any],
    *,
    overwrite: bool = False,
    on_row: OnRow = lambda count: None,
) -> tuple[dict[str, Any], bool]:
    """The account, and whether the folder stood there already, made from just this.

    Raises:
        DataError: the folder holds something else, or no row could be written.
    """
    folder = Path(folder).absolute()
    made_by = {**made_by, "rows": {split: rows.fingerprint for split, rows in splits.items()}}
    standing = _read(folder / ACCOUNT)
    if standing and standing.get("made_by") == made_by:
        return standing, True
    _refuse_foreign(folder, standing is not None, overwrite)
    aside = folder.with_name(f".{folder.name}.partial")
    if (_read(aside / "made_by.json") or None) != made_by:
        shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True, exist_ok=True)
    write_json(aside / "made_by.json", made_by)
    progress = {split: _Progress(**state) for split, state in (_read(aside / JOURNAL) or {}).items()}
    for split, rows in splits.items():
        _write_split(aside, split, rows, format, progress, on_row)
    account = _account(made_by, progress)
    if not account["kept"]:
        shutil.rmtree(aside)
        first = next((refusal for state in progress.values() for refusal in state.refused), None)
        why = f"; the first: {first['where']}: {first['reason']}" if first else ": the source is empty"
        raise DataError(f"{folder}: no row could be written{why}")
    for name in (JOURNAL, "made_by.json"):
        (aside / name).unlink(missing_ok=True)
    write_json(aside / ACCOUNT, account)
    _write_refused(aside, progress)
    os.sync()
    swap_in(aside, folder, flushed=True)
    return account, False


def _write_split(
    aside: Path, split: str, rows: Rows, format: RowFormat, progress: dict[str, _Progress], on_row: OnRow
) -> None:
    state = progress.setdefault(split, _Progress())
    images = aside / "images" / split
    images.mkdir(parents=True, exist_ok=True)
    with (aside / f"{split}{format.suffix}").open("ab") as file:
        file.truncate(state.bytes)
        file.seek(0, os.SEEK_END)
        if not state.bytes:
            file.write(format.head.encode())
        on_row(state.rows_in)
        if not state.rows_in:
            _refuse(state, rows.refused)
        refused_by_source = len(rows.refused)
        for index in range(max(0, state.rows_in - refused_by_source), len(rows)):
            try:
                line = _row(rows[index], index, aside, split, format)
                file.write((format.between.encode() if state.kept else b"") + line)
                state.kept += 1
            except DataError as error:
                state.refused.append(asdict(Refusal.of(rows[index], error, "not held")))
            state.rows_in += 1
            on_row(1)
            if state.rows_in % ROWS_A_JOURNAL == 0:
                _journal(aside, file, state, progress)
        _journal(aside, file, state, progress)
        file.write(format.foot.encode())


def _row(sample: Sample, index: int, aside: Path, split: str, format: RowFormat) -> bytes:
    """The row's text; its images lie on the disk afterwards.

    Raises:
        DataError: the format can't hold the row, or an image can't be read.
    """
    contents = [image.encoded() for image in sample.images]
    files = [f"images/{split}/{_file_name(sample, index, number, data)}" for number, data in enumerate(contents)]
    line = format.line(sample, files)
    refuse_loss(sample, files, format.read(line, aside), aside, format.name)
    for file, data in zip(files, contents, strict=True):
        (aside / file).write_bytes(data)
    try:
        return line.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{sample.image.where}: a character that UTF-8 can't hold ({error.reason})") from error


def _file_name(sample: Sample, index: int, number: int, data: bytes) -> str:
    """The row's number and what is left of its id, with the ending of the image's kind.

    Example:
        id "deep/a b", row 7, second image, a PNG -> "0000007-1-deep_a_b.png"
    """
    kind = next((ending for head, ending in ENDINGS.items() if data.startswith(head)), None)
    kind = kind or (".webp" if data[8:12] == b"WEBP" else ".png")
    several = f"-{number}" if len(sample.images) > 1 else ""
    return f"{index:07d}{several}-{UNSAFE.sub('_', sample.id)[:LONGEST_NAME]}{kind}"


def _journal(aside: Path, file: IO[bytes], state: _Progress, progress: Mapping[str, _Progress]) -> None:
    file.flush()
    os.fsync(file.fileno())
    state.bytes = file.tell()
    write_json(aside / JOURNAL, {split: asdict(each) for split, each in progress.items()})


def _refuse(state: _Progress, refusals: list[Refusal]) -> None:
    state.refused.extend(asdict(refusal) for refusal in refusals)
    state.rows_in += len(refusals)


def _account(made_by: Mapping[str, Any], progress: Mapping[str, _Progress]) -> dict[str, Any]:
    splits = {
        split: {"rows_in": state.rows_in, "kept": state.kept, "refused": len(state.refused), "merged": 0}
        for split, state in progress.items()
    }
    totals = {what: sum(split[what] for split in splits.values()) for what in ("rows_in", "kept", "refused", "merged")}
    kinds = Counter(refusal["kind"] for state in progress.values() for refusal in state.refused)
    return {"made_by": made_by, **totals, "refused_by_kind": dict(kinds), "splits": splits}


def _write_refused(aside: Path, progress: Mapping[str, _Progress]) -> None:
    lines = [
        json.dumps({"split": split, **refusal}, ensure_ascii=False)
        for split, state in progress.items()
        for refusal in state.refused
    ]
    if lines:
        (aside / REFUSED).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _refuse_foreign(folder: Path, ours: bool, overwrite: bool) -> None:
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
