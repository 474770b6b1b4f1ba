"""A run in one entry of a list: its state, and each result with data, rows and exact match with its interval."""

import contextlib
from pathlib import Path
from typing import Any

from texlens.core.errors import RunError
from texlens.core.run_folder import RunFolder


def summarize_run(run: RunFolder) -> dict[str, Any]:
    """A damaged run is reported as such and hides none of the others; a damaged result is left out."""
    manifest: dict[str, Any] = {}
    state = "damaged"
    results: list[dict[str, Any]] = []
    with contextlib.suppress(RunError):
        manifest, state = run.manifest, run.state
        results = [result for label, path in run.comparisons().items() if (result := _result(run, label, path))]
    main_result = next((result for result in results if result["label"] == "test"), None)
    return {
        "run": str(run.path),
        "state": state,
        "base": manifest.get("base"),
        "steps": manifest.get("training", {}).get("steps"),
        "created": manifest.get("created"),
        "scores": main_result["scores"] if main_result else {},
        "results": results,
    }


def _result(run: RunFolder, label: str, path: Path) -> dict[str, Any] | None:
    """None where the file is damaged. Version 0.1 did not store which data a comparison was measured on."""
    try:
        comparison = run.read_object(str(path.relative_to(run.path)))
        systems = {name: system["scores"]["exact_match"] for name, system in comparison.get("systems", {}).items()}
        return {
            "label": label,
            "data": comparison.get("data") or {"path": "its own data", "split": label},
            "rows": comparison.get("rows", 0),
            "train_overlap": comparison.get("train_overlap"),
            "scores": {name: float(interval["value"]) for name, interval in systems.items()},
            "intervals": systems,
        }
    except (RunError, LookupError, TypeError, ValueError, AttributeError):
        return None
