"""Comparisons that were measured: which there are in a run folder, and their predictions, scored once and kept."""

import re
from pathlib import Path
from typing import Any

from texlens.board.last_used import LastUsed
from texlens.core.errors import DataError, RunError, TexlensError
from texlens.core.run_folder import RunFolder
from texlens.evaluation.comparison import Comparison, compare
from texlens.evaluation.predictions import read_predictions
from texlens.metrics.registry import run_metrics

MAX_IN_MEMORY = 6


def stored_comparisons(run: RunFolder) -> list[dict[str, Any]]:
    """Label, systems, rows and data of each, newest last; damaged ones are left out."""
    paths = sorted(run.comparisons().items(), key=lambda item: item[1].stat().st_mtime)
    entries = []
    for label, path in paths:
        try:
            value = run.read_object(str(path.relative_to(run.path)))
            data = value.get("data") or {}
            systems = [str(name) for name in value["systems"]]
            entries.append({"label": label, "systems": systems, "rows": value.get("rows", 0), "data": data})
        except (TexlensError, LookupError, TypeError, AttributeError):
            continue
    return entries


class ComparisonCache:
    """The last comparisons that were looked at, scored; scored again where a file has changed."""

    def __init__(self) -> None:
        self._scored: LastUsed[tuple, Comparison] = LastUsed(MAX_IN_MEMORY)

    def load(self, run: RunFolder, label: str, reference: str = "") -> Comparison:
        """
        Args:
            reference: the system that the others are compared with; default: the first.

        Raises:
            RunError, DataError: no such comparison, or its predictions are gone or damaged.
        """
        entry = next((entry for entry in stored_comparisons(run) if entry["label"] == label), None)
        if entry is None:
            raise RunError(f"{run.path.name}: no comparison {label[:60]!r}; the list names those that there are")
        paths = {name: run.predictions(rows_label(label), name) for name in entry["systems"]}
        stamps = tuple((name, _stamp(path)) for name, path in paths.items())
        comparison = self._scored.get((run.path, label, stamps), lambda: _scored(run, paths))
        if reference and reference != comparison.reference:
            if reference not in comparison.systems:
                raise RunError(f"{reference[:60]}: no such system in the comparison")
            return comparison.with_reference(reference)
        return comparison


def rows_label(label: str) -> str:
    """The label of the rows; a comparison with further systems has a longer one.

    Example:
        "test-with-1f0c2a" -> "test"
    """
    return re.sub(r"-with-[0-9a-f]{6}$", "", label)


def _scored(run: RunFolder, paths: dict[str, Path]) -> Comparison:
    from texlens.config.load import load_saved_config

    settings = load_saved_config(run.config).evaluate
    predictions = {name: read_predictions(path) for name, path in paths.items()}
    return compare(predictions, seed=settings.seed, metrics=run_metrics(settings.metrics), clean=settings.clean)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"{path}: no predictions ({error.strerror}); compare again") from None
    return status.st_mtime_ns, status.st_size
