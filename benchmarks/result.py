"""A benchmark's result as a file: `THEME_HARDWARE_DATE.json`, with what it ran on."""

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any


def write_result(
    folder: Path, theme: str, command: str, packages: Sequence[str], figures: dict[str, Any], *, device: str = "cpu"
) -> Path:
    """Writes what a benchmark measured, under facts of the machine and versions of the packages; returns the path.

    Args:
        device: in the file's name; a GPU's full name is `hardware` of `figures`.

    Example:
        ("data checks", …) -> data-checks_cpu_2026-11-21.json
    """
    today = datetime.now(UTC).date().isoformat()
    result = {
        "theme": theme,
        "date": today,
        "hardware": f"{platform.machine()} CPU, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
        "command": command,
        **figures,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{theme.replace(' ', '-')}_{device}_{today}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(path)
    return path
