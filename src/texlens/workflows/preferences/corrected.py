"""Pairs of rows that were corrected: the text against the one before, or what a slip was made from."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from texlens.core.errors import DataError
from texlens.data.edits.log import EditLog
from texlens.data.edits.row_key import RowKeyIndex
from texlens.data.folder.statistics import statistics_if_made_by
from texlens.data.folder.writer import FolderWriter
from texlens.data.load import Rows
from texlens.data.sample import RejectedRow, Sample
from texlens.workflows.preferences.choose import SAME_TEXT
from texlens.workflows.preferences.draw import SPLIT, VERSION

NO_CORRECTION = "not corrected"


def corrected_rows(
    rows: Rows, folder: Path, *, column: str = "corrected", edits: Path | None = None, overwrite: bool = False
) -> tuple[dict[str, Any], bool]:
    """Writes the pairs; returns the data set's statistics, and whether it was there already.

    Args:
        column: holds the worse text of each row: with `corrected`, the formula without its deliberate slip, so that a
            model learns to write what is in the image.
        edits: instead of a column, rows whose label was corrected in this edits file: the new label against the old.

    Raises:
        DataError: no row was corrected, or the folder holds something else.
    """
    source = f"edits {_digest(edits)}" if edits is not None else f"column {column}"
    made_by = {"command": "preferences", "version": VERSION, "rows": rows.fingerprint, "from": source}
    statistics = None if overwrite else statistics_if_made_by(folder, made_by)
    if statistics is not None:
        return statistics, True
    labels = None if edits is None else _edited_labels(rows, edits)
    with FolderWriter(folder, made_by=made_by, resume=True, overwrite=overwrite) as writer:
        for number, sample in enumerate(rows):
            if writer.skip(SPLIT):
                continue
            pair = _by_column(sample, column) if labels is None else _by_edit(sample, labels.get(number))
            if isinstance(pair, str):
                writer.reject(SPLIT, RejectedRow(sample.id, sample.image.where, pair, pair, sample.text))
            else:
                writer.add(SPLIT, pair)
    return writer.statistics, False


def _by_column(sample: Sample, column: str) -> Sample | str:
    worse = sample.extra.get(column)
    if not isinstance(worse, str) or not worse.strip():
        return NO_CORRECTION
    return _pair(sample, sample.text, worse)


def _by_edit(sample: Sample, label: str | None) -> Sample | str:
    return NO_CORRECTION if label is None else _pair(sample, label, sample.text)


def _pair(sample: Sample, chosen: str, rejected: str) -> Sample | str:
    if "".join(chosen.split()) == "".join(rejected.split()):
        return SAME_TEXT
    return replace(sample, text=chosen, more_answers=(), extra={**sample.extra, "rejected": rejected})


def _edited_labels(rows: Rows, edits: Path) -> Mapping[int, str]:
    """Corrected labels by the row's number; rows that are excluded have none."""
    states = EditLog(edits).rows()
    keys = RowKeyIndex(rows).find(states)
    return {
        number: label
        for number, key in keys.items()
        if states[key].excluded is None and (label := states[key].label) is not None
    }


def _digest(edits: Path) -> int:
    """The version of an edits file.

    Raises:
        DataError: there is none.
    """
    log = EditLog(edits).edits()
    if not log:
        raise DataError(f"{edits}: no edits file, or one without an edit; name one with --edits")
    return log[-1].number
