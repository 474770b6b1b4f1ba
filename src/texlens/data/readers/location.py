"""What `data.path` names: the demo, a local file or folder, or a hub's id. No library is loaded to find out."""

import re
from pathlib import Path

from texlens.core.errors import DataError

HUB_ID = re.compile(r"^[\w-][\w.-]*/[\w-][\w.-]*$")
MODELSCOPE = "modelscope:"
HUGGING_FACE = "huggingface:"
DEMO = Path(__file__).parents[1] / "demo"


def local_path(path: str) -> Path | None:
    """The local file or folder; None for an id of a hub.

    Raises:
        DataError: it does not exist and is no hub's id. `data/mine` is none where there is a folder `data`.
    """
    if path == "demo":
        return DEMO
    if path.startswith((MODELSCOPE, HUGGING_FACE)):
        return None
    local = Path(path).expanduser()
    try:
        exists = local.exists()
    except (OSError, ValueError) as error:
        raise DataError(f"{path[:200]}: no such file or folder ({error}); check data.path") from error
    if exists:
        return local
    if not HUB_ID.match(path):
        raise DataError(f"{path}: no such file or folder; check data.path")
    if local.parent.is_dir():
        raise DataError(
            f"{path}: no such folder in {local.parent.absolute()}; check data.path, "
            f"or write {HUGGING_FACE}{path} for a data set of Hugging Face"
        )
    return None


def check_location(path: str) -> None:
    """A check of `data.path` before anything is loaded.

    Raises:
        DataError: as `local_path`.
    """
    local_path(path)
