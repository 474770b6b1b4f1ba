"""From `data.path` to a `Source`: the demo, a local folder or file in a known format, or a hub's id."""

from collections.abc import Sequence
from pathlib import Path

from texlens.core.errors import ConfigError, DataError
from texlens.data.readers.archive import is_archive, unpacked
from texlens.data.readers.formats.coco import COCO
from texlens.data.readers.formats.conversations import CONVERSATIONS
from texlens.data.readers.formats.csv_table import CSV
from texlens.data.readers.formats.im2latex import IM2LATEX
from texlens.data.readers.formats.image_folder import IMAGE_FOLDER
from texlens.data.readers.formats.inkml import INKML
from texlens.data.readers.formats.label_lists import LABEL_LISTS
from texlens.data.readers.formats.parquet import PARQUET
from texlens.data.readers.formats.pdf import PDF
from texlens.data.readers.formats.records import RECORDS
from texlens.data.readers.hub import fetch_modelscope, list_hub_splits, open_hub
from texlens.data.readers.location import HUGGING_FACE, MODELSCOPE, local_path
from texlens.data.readers.protocol import DataFormat, ReadOptions, Source

FORMATS = {
    format.name: format
    for format in (PARQUET, IM2LATEX, COCO, IMAGE_FOLDER, LABEL_LISTS, PDF, INKML, CSV, RECORDS, CONVERSATIONS)
}
"""In the order in which they are tried: first those that are recognized by a name. A new format is one more here."""
ALIASES = {"messages": "conversations", "sharegpt": "conversations", "llava": "conversations", "hf": "parquet"}
"""Names that others give to a format read here."""


def list_splits(path: str, format: str = "auto", options: ReadOptions | None = None) -> Sequence[str]:
    """
    Raises:
        DataError: no such file or folder, or nothing readable in it.
        ConfigError: no such format.
    """
    options = options or ReadOptions()
    local = _local(path)
    if local is None:
        return list_hub_splits(path.removeprefix(HUGGING_FACE), options)
    return find_format(local, format).splits(local, options)


def open_source(path: str, split: str, format: str = "auto", options: ReadOptions | None = None) -> Source:
    """
    Raises:
        DataError: as `list_splits`, or no such split, naming those there are.
        ConfigError: no such format.
    """
    options = options or ReadOptions()
    local = _local(path)
    if local is None:
        return open_hub(path.removeprefix(HUGGING_FACE), split, options)
    known = find_format(local, format)
    available = known.splits(local, options)
    if split not in available:
        raise DataError(
            f"{path}: no split {split!r}, only {', '.join(available)}; set data.splits to these, "
            "or validation and test to a share of train such as 0.05"
        )
    return known.open(local, split, options)


def find_format(path: Path, format: str = "auto") -> DataFormat:
    """
    Raises:
        ConfigError, DataError: an unknown name, or files that no format recognizes.
    """
    format = ALIASES.get(format, format)
    if format != "auto":
        if format not in FORMATS:
            raise ConfigError(f"data.format {format!r} is not known; use auto, {', '.join(FORMATS)}")
        return FORMATS[format]
    try:
        recognized = next((known for known in FORMATS.values() if known.recognizes(path)), None)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{error.filename or path}: can't be looked at ({reason}); name a folder of data") from error
    if recognized is not None:
        return recognized
    if scripts := sorted(script.name for script in path.glob("*.py")):
        raise DataError(
            f"{path}: a loading script ({scripts[0]}), which is never run, and no rows; download the files that it "
            "names and set data.path to their folder"
        )
    raise DataError(f"{path}: no rows of a known format ({', '.join(FORMATS)}) in it; check data.path")


def _local(path: str) -> Path | None:
    """The folder or file, fetched from ModelScope where asked; None for an id of Hugging Face."""
    if path.startswith(MODELSCOPE):
        return fetch_modelscope(path)
    local = local_path(path)
    return unpacked(local) if local is not None and is_archive(local) else local
