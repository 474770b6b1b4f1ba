"""Keys of trackers and hubs: from the environment, or from a `.env` file beside the work; never written to a run."""

import os
import re
from pathlib import Path

_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*$")


def load_dotenv(path: Path = Path(".env")) -> list[str]:
    """Puts the file's `NAME=value` lines into the environment where the name is not set; returns the names added."""
    if not path.is_file():
        return []
    added = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        match = None if line.lstrip().startswith("#") else _LINE.match(line)
        if match and match[1] not in os.environ:
            os.environ[match[1]] = match[2].strip("'\"")
            added.append(match[1])
    return added
