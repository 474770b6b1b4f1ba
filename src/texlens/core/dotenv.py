"""Keys of trackers and hubs from a `.env` file in the working folder; never written to a run."""

import io
import os
from pathlib import Path

import dotenv


def load_dotenv(path: Path = Path(".env")) -> list[str]:
    """Puts the file's `NAME=value` lines into the environment where the name is not set; returns the names added."""
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    values = dotenv.dotenv_values(stream=io.StringIO(text), interpolate=False)
    added = {name: value for name, value in values.items() if value is not None and name not in os.environ}
    os.environ.update(added)
    return list(added)
