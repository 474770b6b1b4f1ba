"""A run in one entry of the list: what it trains, how far it is, how well it reads, and how long it will take."""

import contextlib
from datetime import UTC, datetime
from typing import Any

from texlens.board.runs.appended_file import last_rows
from texlens.config.load import load_saved_config
from texlens.config.run import RunConfig
from texlens.core.errors import TexlensError
from texlens.core.run_folder import RunFolder
from texlens.workflows.run_summary import summarize_run


def summarize(run: RunFolder) -> dict[str, Any]:
    """JSON values; what is unknown is None. A damaged run is reported as such."""
    entry = summarize_run(run) | {"name": run.path.name}
    return entry | _described(run) | _progress(run, entry["state"])


def _described(run: RunFolder) -> dict[str, Any]:
    config = config_of(run)
    if config is None:
        return {"adapter": None, "data": None}
    rank = getattr(config.adapter, "rank", None)
    data = " ".join(filter(None, (config.data.path, config.data.subset)))
    return {
        "base": config.model.path,
        "adapter": f"{config.adapter.kind}{f' r {rank}' if rank else ''}",
        "data": data,
    }


def config_of(run: RunFolder) -> RunConfig | None:
    """None where config.yaml is absent or can't be read."""
    with contextlib.suppress(TexlensError):
        return load_saved_config(run.config)
    return None


def _progress(run: RunFolder, state: str) -> dict[str, Any]:
    rows = last_rows(run.metrics)
    step = max((row["step"] for row in rows if isinstance(row.get("step"), int)), default=None)
    record: dict[str, Any] = {}
    with contextlib.suppress(TexlensError):
        recorded = run.manifest.get("progress")
        record = recorded if isinstance(recorded, dict) else {}
    max_steps = record.get("max_steps")
    return {
        "step": step,
        "max_steps": max_steps,
        "loss": _last(rows, "loss"),
        "validation_loss": _last(rows, "eval_loss"),
        "left_s": _left_s(record, step, datetime.now(UTC)) if state == "training" else None,
    }


def _last(rows: list[dict[str, Any]], key: str) -> float | None:
    return next((row[key] for row in reversed(rows) if isinstance(row.get(key), int | float)), None)


def _left_s(record: dict[str, Any], step: int | None, now: datetime) -> float | None:
    """Seconds until the last step at the mean pace since the training began or was resumed, validations included."""
    try:
        seconds = (now - datetime.fromisoformat(record["started"])).total_seconds()
        steps = (step or 0) - int(record["from_step"])
        return round(seconds * (int(record["max_steps"]) - (step or 0)) / steps, 1) if steps > 0 else None
    except (KeyError, TypeError, ValueError):
        return None
