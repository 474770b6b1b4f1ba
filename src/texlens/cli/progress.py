"""A bar that counts rows."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

from texlens.core.language import translated


@contextmanager
def row_bar(console: Console, doing: str, rows: int, unit: str = "rows") -> Iterator[Callable[[int], None]]:
    """A bar with rows done, their rate and the time left; nothing where no terminal looks on."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    unit = translated(unit)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(translated(doing), total=rows, rate="")

        def advance(done: int) -> None:
            speed = bar.tasks[0].speed
            bar.update(task, advance=done, rate=f"{speed:,.{0 if speed > 10 else 1}f} {unit}/s" if speed else "")

        yield advance


@contextmanager
def total_bar(console: Console, doing: str) -> Iterator[Callable[[int, int], None]]:
    """A bar of rows done, those of an earlier call included, and rows in all."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(translated(doing), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
