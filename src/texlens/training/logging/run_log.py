"""log.txt of a run folder: what the training reported, with the time."""

from datetime import UTC, datetime
from pathlib import Path

from texlens.core.errors import RunError, one_line


class RunLog:
    """Appends lines such as `2026-11-30T17:44:22+00:00  step 10/160  loss 1.2500`."""

    def __init__(self, path: Path):
        self.path = path

    def write(self, message: object) -> None:
        """
        Raises:
            RunError: the run folder is gone.
        """
        try:
            with self.path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(f"{datetime.now(UTC).isoformat(timespec='seconds')}  {one_line(message)}\n")
        except FileNotFoundError:
            raise RunError(
                f"{self.path.parent}: the run folder was deleted or moved while the run was going on"
            ) from None
