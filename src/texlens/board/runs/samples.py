"""Sample predictions that a training left at each validation."""

import json
import re
from pathlib import Path
from typing import Any

from texlens.core.errors import RunError
from texlens.core.run_folder import RunFolder


def sample_steps(run: RunFolder) -> list[int]:
    """The steps after which rows were read."""
    return sorted(int(path.stem) for path in run.samples.glob("*.jsonl") if path.stem.isdecimal())


def sample_rows(run: RunFolder, step: int) -> list[dict[str, Any]]:
    """Rows with id, image, reference, text and stop; a damaged line is left out."""
    try:
        text = (run.samples / f"{step:08}.jsonl").read_bytes().decode("utf-8", errors="replace")
    except OSError:
        return []
    rows = []
    for line in text.split("\n"):
        try:
            row = json.loads(line)
            rows.append({key: _text(row.get(key)) for key in ("id", "image", "reference", "text", "stop", "error")})
        except (ValueError, AttributeError, RecursionError):
            continue
    return rows


def sample_image(run: RunFolder, name: str) -> Path:
    """
    Raises:
        RunError: no such picture; only names such as 003.png are looked for.
    """
    path = run.samples / "images" / name
    if not re.fullmatch(r"\d{3}\.png", name) or not path.is_file() or path.is_symlink():
        raise RunError(f"{name[:40]}: no such picture in {run.path.name}")
    return path


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
