"""What the commands that look at a whole data set share: its splits, a family's geometry, a bar that counts rows."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from texlens.data.geometry import ImageGeometry
    from texlens.data.load import Rows


def open_splits(
    place: str, *, subset: str | None = None, format: str = "auto", allow_outside: bool = False
) -> dict[str, "Rows"]:
    """
    Raises:
        DataError: nothing readable there.
    """
    from texlens.data.load import load_split
    from texlens.data.sources.find import list_splits
    from texlens.data.sources.protocol import ReadOptions

    names = list_splits(place, format, ReadOptions(subset, allow_outside=allow_outside))
    return {
        name: load_split(place, split=name, subset=subset, format=format, allow_outside=allow_outside) for name in names
    }


def geometry_for(family: str, min_pixels: int | None, max_pixels: int | None) -> "ImageGeometry":
    """
    Raises:
        ConfigError: not one of the families, or an impossible budget.
    """
    from texlens.core.errors import ConfigError
    from texlens.models.families import FAMILIES
    from texlens.models.preprocessor import geometry_of

    model_type = family.lower().replace("-", "_").replace(".", "_")
    if model_type not in FAMILIES:
        known = ", ".join(spelled(name) for name in FAMILIES)
        raise ConfigError(f"--family {family}: not one of {known}")
    return geometry_of({"model_type": model_type}, min_pixels=min_pixels, max_pixels=max_pixels)


def spelled(model_type: str) -> str:
    """
    Example:
        spelled("qwen2_5_vl") -> "qwen2.5-vl"
    """
    return model_type.replace("2_5", "2.5").replace("_", "-")


@contextmanager
def row_bar(console: Console, doing: str, rows: int) -> Iterator[Callable[[int], None]]:
    """A bar with rows done, their rate and the time left; nothing where no terminal looks on."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(doing, total=rows, rate="")

        def advance(done: int) -> None:
            speed = bar.tasks[0].speed
            bar.update(task, advance=done, rate=f"{speed:,.0f} rows/s" if speed else "")

        yield advance
