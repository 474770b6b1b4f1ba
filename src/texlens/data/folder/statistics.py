"""texlens-data.json and rejected.jsonl: where the rows of a data set folder came from, and which were left out."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from texlens.core.files import write_json

STATISTICS = "texlens-data.json"
REJECTED = "rejected.jsonl"
VERSION = 1
OUTCOMES = ("kept", "rejected", "merged")
"""What can become of a row; `rows_in` is their sum."""
OLD_NAMES = {"refused": "rejected", "refused_by_kind": "rejected_by_kind"}
"""Names in folders that version 0.1 wrote."""

Counts = dict[str, int]


def new_counts() -> Counts:
    """
    Example:
        new_counts() -> {"rows_in": 0, "kept": 0, "rejected": 0, "merged": 0}
    """
    return dict.fromkeys(("rows_in", *OUTCOMES), 0)


def count(counts: Counts, outcome: str, rows: int = 1) -> None:
    """Add `rows` of an outcome, in place."""
    counts["rows_in"] += rows
    counts[outcome] += rows


def write_statistics(
    folder: Path,
    made_by: Mapping[str, Any],
    splits: Mapping[str, Counts],
    rejected: Iterable[Mapping[str, str]],
    fingerprint: str,
) -> dict[str, Any]:
    """Write both files into `folder` and return the content of texlens-data.json."""
    kinds: Counter[str] = Counter()
    with (folder / REJECTED).open("w", encoding="utf-8") as file:
        for row in rejected:
            kinds[row["kind"]] += 1
            file.write(json.dumps(row, ensure_ascii=True) + "\n")
    if not kinds:
        (folder / REJECTED).unlink()
    statistics = {
        "version": VERSION,
        "made_by": made_by,
        **{name: sum(counts[name] for counts in splits.values()) for name in new_counts()},
        "rejected_by_kind": dict(kinds),
        "splits": splits,
        "fingerprint": fingerprint,
    }
    write_json(folder / STATISTICS, statistics)
    return statistics


def read_statistics(folder: str | Path) -> dict[str, Any] | None:
    """The content of texlens-data.json; None where `folder` is not a data set folder of TexLens."""
    statistics = read_json(Path(folder) / STATISTICS)
    if not isinstance(statistics, dict) or not isinstance(statistics.get("splits"), dict):
        return None
    splits = {split: _renamed(counts) for split, counts in statistics["splits"].items()}
    return _renamed(statistics) | {"splits": splits}


def statistics_if_made_by(folder: str | Path, made_by: Mapping[str, Any]) -> dict[str, Any] | None:
    """The statistics of a folder that exactly these options and sources made, else None."""
    statistics = read_statistics(folder)
    return statistics if statistics is not None and statistics.get("made_by") == as_json(made_by) else None


def as_json(made_by: Mapping[str, Any]) -> dict[str, Any]:
    """The mapping as it comes back from a JSON file."""
    return json.loads(json.dumps(dict(made_by), default=str))


def read_json(path: Path) -> Any:
    """The file's value, or None where it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def _renamed(values: Any) -> Any:
    return {OLD_NAMES.get(name, name): value for name, value in values.items()} if isinstance(values, dict) else values
