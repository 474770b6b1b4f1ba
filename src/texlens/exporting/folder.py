"""The folder that an export writes: refused if it exists or does not fit, staged, renamed when complete."""

import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from texlens.core.errors import ExportError
from texlens.core.files import naming, whole_folder
from texlens.exporting.decoding import GENERATION_CONFIG, Decoding, write_generation_config
from texlens.models.checkpoint import CONFIG, INDEX
from texlens.models.metadata import METADATA_FILE
from texlens.models.processor import Processor, save_processor

SLACK_BYTES = 64 * 2**20
"""For tokenizer, settings and the file system's own use."""

MAX_SUPPORTING_FILE_BYTES = 64 * 2**20

_SUPPORTING = ("*.json", "*.jinja", "*.txt", "LICENSE*", "NOTICE*")
_NOT_COPIED = (CONFIG, INDEX, METADATA_FILE, GENERATION_CONFIG, "adapter_config.json")


def check_output(folder: Path, *, force: bool) -> None:
    """
    Raises:
        ExportError: the folder is not empty, or a file has its name.
    """
    if folder.is_file() or any(parent.is_file() for parent in folder.absolute().parents):
        raise ExportError(f"{folder}: a file has this name; choose another -o")
    if folder.exists() and any(folder.iterdir()) and not force:
        raise ExportError(f"{folder}: exists already; --force replaces it, or choose another -o")


def check_free_space(folder: Path, needed_bytes: int) -> None:
    """
    Raises:
        ExportError: less than `needed_bytes` are free where the folder will be.
    """
    existing = next(parent for parent in [folder.absolute(), *folder.absolute().parents] if parent.exists())
    free = shutil.disk_usage(existing).free
    if free < needed_bytes + SLACK_BYTES:
        raise ExportError(
            f"{folder}: needs {_gib(needed_bytes + SLACK_BYTES)} while it is written, {_gib(free)} are free; "
            f"make room or choose another -o"
        )


@contextmanager
def staging_dir(folder: Path) -> Iterator[Path]:
    """A temporary folder that is renamed to `folder` when the block succeeds and removed on an error or SIGTERM.

    After SIGKILL a hidden `.NAME.partial` remains, which the next export to the same path removes; `folder` itself is
    always complete, the old one or the new one.
    """
    with naming(folder), _stopped_by_sigterm(), whole_folder(folder) as staging:
        yield staging


def write_supporting_files(base: Path, processor: Processor, decoding: Decoding, folder: Path) -> None:
    """Writes what loaders need besides config and weights: small files of the base, processor and decoding."""
    for path in sorted({path for pattern in _SUPPORTING for path in base.glob(pattern)}):
        if path.name not in _NOT_COPIED and path.is_file() and path.stat().st_size < MAX_SUPPORTING_FILE_BYTES:
            shutil.copyfile(path, folder / path.name)
    save_processor(processor, folder)
    write_generation_config(base, processor, decoding, folder)


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Makes SIGTERM unwind the stack as Ctrl-C does, so that the staging folder is removed."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # only the main thread may set handlers
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
