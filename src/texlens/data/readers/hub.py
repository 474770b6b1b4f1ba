"""Data sets of the hubs: Hugging Face through `datasets`, `modelscope:owner/name` by fetching its files."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

import pyarrow as pa

from texlens.core.errors import DataError, one_line
from texlens.data.readers.formats.turn_columns import with_turn_columns
from texlens.data.readers.location import MODELSCOPE
from texlens.data.readers.protocol import ReadOptions
from texlens.data.readers.rows.table import TableSource, check_columns

PROBE_S = 20.0
NO_ANSWER = {"TransportError", "ConnectionError", "Timeout"}
"""What the errors of a request that was not answered are called, in whichever HTTP client the hub's package uses."""


def list_hub_splits(path: str, options: ReadOptions) -> list[str]:
    """
    Raises:
        DataError: the hub can't be reached, or has no such data set or subset.
    """
    import datasets

    try:
        with _cache_where_unreachable(path):
            return list(datasets.get_dataset_split_names(path, options.subset))
    except Exception as error:
        raise _explained(path, options.subset, error) from error


def open_hub(path: str, split: str, options: ReadOptions) -> TableSource:
    """
    Raises:
        DataError: as `list_hub_splits`, or the split lacks the columns.
    """
    import datasets

    try:
        with _cache_where_unreachable(path):
            rows = datasets.load_dataset(path, options.subset, split=split)
    except Exception as error:
        raise _explained(path, options.subset, error) from error
    where = f"{path} split {split}"
    schema = rows.data.table.schema
    column, text_column = check_columns(schema, options.image_column, options.text_column, where)
    return TableSource(
        with_turn_columns(rows.data.table.drop_columns([column]), where, text_column),
        partial(rows.data.column, column),
        split=split,
        text_column=text_column,
        where=where,
        location=partial("{} row {}".format, where),
        folder=Path(datasets.config.HF_CACHE_HOME),
        several_images=pa.types.is_list(schema.field(column).type),
    )


@cache
def fetch_modelscope(path: str) -> Path:
    """The local folder of `modelscope:owner/name`, in the hubs' layout.

    Raises:
        DataError: the package is missing, or the download failed.
    """
    name = path.removeprefix(MODELSCOPE)
    if importlib.util.find_spec("modelscope") is None:
        raise DataError(f"{path}: the package modelscope is not installed; run pip install 'texlens[modelscope]'")
    from modelscope import dataset_snapshot_download

    try:
        return Path(dataset_snapshot_download(name))
    except Exception as error:
        raise _explained(path, None, error) from error


@contextmanager
def _cache_where_unreachable(path: str) -> Iterator[None]:
    """Has `datasets` go to its cache at once where the hub does not answer; by itself it tries for half a minute."""
    import datasets
    from huggingface_hub import constants

    settings = (datasets.config, constants)
    before = [module.HF_HUB_OFFLINE for module in settings]
    offline = any(before) or not _answers(path)
    for module in settings:
        module.HF_HUB_OFFLINE = offline
    try:
        yield
    finally:
        for module, value in zip(settings, before, strict=True):
            module.HF_HUB_OFFLINE = value


def _answers(path: str) -> bool:
    """Whether the hub says anything about the data set, be it that there is none."""
    from huggingface_hub import HfApi

    try:
        HfApi().dataset_info(path, timeout=PROBE_S)
    except Exception as error:  # noqa: BLE001 - whatever else it says, the full request says again and is explained
        return not NO_ANSWER & {kind.__name__ for kind in type(error).__mro__}
    return True


def _explained(path: str, subset: str | None, error: Exception) -> DataError:
    """Whatever the hub's client says, in one line with a remedy."""
    here = path.startswith(MODELSCOPE)
    token = "MODELSCOPE_API_TOKEN" if here else "HF_TOKEN"
    address = "MODELSCOPE_DOMAIN" if here else "HF_ENDPOINT and HF_HUB_OFFLINE"
    kinds = {kind.__name__ for kind in type(error).__mro__}
    reason = one_line(error, 300).rstrip(".")
    if "GatedRepoError" in kinds or "gated" in reason:
        remedy = f"ask for access on its page and set {token}"
    elif kinds & {"DatasetNotFoundError", "RepositoryNotFoundError", "NotExistError"}:
        remedy = f"check the id; a private data set needs {token}, and a local folder must be there"
    elif kinds & {"OfflineModeIsEnabled", "ConnectionError", "ConnectError", "TimeoutException", "Timeout"}:
        remedy = f"check the network, {address}, or set data.path to a local folder"
    elif isinstance(error, ValueError) and "split" in reason.lower():
        remedy = "set data.splits to those, or validation and test to a share of train such as 0.05"
    elif isinstance(error, ValueError) and "config" in reason.lower():
        remedy = "set data.subset to one of those" if subset else "set data.subset"
    else:
        remedy = "check data.path, or download it and set data.path to the folder"
    return DataError(f"{path}: {reason}; {remedy}")
