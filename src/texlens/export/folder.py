"""The folder that an export fills: refused where it would overwrite or not fit, written aside, renamed when whole."""

import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from texlens.core.errors import ExportError
from texlens.core.files import naming, whole_folder
from texlens.models.checkpoint import CONFIG, INDEX
from texlens.models.metadata import METADATA_FILE
from texlens.models.processor import Processor, save_processor

SLACK_BYTES = 64 * 2**20
"""For tokenizer, cards and what the file system takes for itself."""

LARGEST_BESIDE_BYTES = 64 * 2**20

_BESIDE = ("*.json", "*.jinja", "*.txt", "LICENSE*", "NOTICE*")
_NOT_BESIDE = (CONFIG, INDEX, METADATA_FILE, "adapter_config.json")


def check_output(folder: Path, *, force: bool) -> None:
    """
    Raises:
        ExportError: something is there already, or a file stands in the way.
    """
    if folder.is_file() or any(parent.is_file() for parent in folder.absolute().parents):
        raise ExportError(f"{folder}: a file stands where the folder should be; choose another -o")
    if folder.exists() and any(folder.iterdir()) and not force:
        raise ExportError(f"{folder}: exists already; --force replaces it, or choose another -o")


def check_free_space(folder: Path, needed_bytes: int) -> None:
    """
    Raises:
        ExportError: less than `needed_bytes` are free where the folder will be.
    """
    there = next(parent for parent in [folder.absolute(), *folder.absolute().parents] if parent.exists())
    free = shutil.disk_usage(there).free
    if free < needed_bytes + SLACK_BYTES:
        raise ExportError(
            f"{folder}: needs {_gib(needed_bytes + SLACK_BYTES)} while it is made, {_gib(free)} are free there; "
            f"make room or choose another -o"
        )


@contextmanager
def staging_dir(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` that takes its place when the block ends well; else, or on SIGTERM, nothing is left.

    After SIGKILL a hidden `.NAME.partial` stays, which the next export to the same place removes; `folder` itself is
    the old one or the new one, never a half.
    """
    with naming(folder), _stopped_by_sigterm(), whole_folder(folder) as aside:
        yield aside


def write_supporting_files(base: Path, processor: Processor, folder: Path) -> None:
    """All that loaders need beside config and weights: the base's small files, then the processor with its budget."""
    for path in sorted({path for pattern in _BESIDE for path in base.glob(pattern)}):
        if path.name not in _NOT_BESIDE and path.is_file() and path.stat().st_size < LARGEST_BESIDE_BYTES:
            shutil.copyfile(path, folder / path.name)
    save_processor(processor, folder)


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Lets a SIGTERM unwind the stack as Ctrl-C does, so that what was written aside goes away."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread, which alone may set handlers
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
