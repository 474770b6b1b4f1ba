"""A data set folder full of made-up rows: made by several processes, written in order by one."""

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from texlens.core.errors import RunError
from texlens.data.folder import FolderWriter
from texlens.synthesis.rows import Made, Maker, Recipe

SPLIT = "train"
VERSION = 1
"""Raised when the same recipe would give other rows, so that a half-made folder of older rows is not gone on with."""
_CHUNK = 50
_AHEAD = 3
"""Chunks in flight a process: enough to keep it busy, few enough to keep memory flat."""

_maker: Maker | None = None


def synthesize(
    recipe: Recipe,
    folder: str | Path,
    rows: int,
    *,
    processes: int = 1,
    overwrite: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Writes rows 0 to `rows` - 1, goes on after a kill, and returns the folder's account.

    The rows depend on the recipe alone, not on `processes`. `on_progress` is told how many rows are done.

    Raises:
        DataError: the folder holds something else, or no row could be made.
        RunError: a process was killed.
    """
    with FolderWriter(folder, made_by=made_by(recipe, rows), resume=True, overwrite=overwrite) as writer:
        first = writer.resumed(SPLIT)
        for done, made in enumerate(_made(recipe, range(first, rows), processes), first + 1):
            if made.image is None:
                writer.reject(SPLIT, made.rejected_row())
            else:
                writer.add(SPLIT, made.sample())
            if on_progress:
                on_progress(done)
    return writer.statistics


def made_by(recipe: Recipe, rows: int) -> dict[str, Any]:
    """All that decides the rows; a list of formulas by its digest."""
    settings = asdict(recipe)
    labels = settings.pop("labels")
    digest = sha256("\n".join(labels).encode()).hexdigest() if labels else None
    return {"command": "synth", "version": VERSION, "rows": rows, **settings, "labels": digest}


def _made(recipe: Recipe, numbers: range, processes: int) -> Iterator[Made]:
    if processes <= 1:
        maker = Maker(recipe)
        yield from (maker.make(number) for number in numbers)
        return
    context = multiprocessing.get_context("spawn")
    chunks = (numbers[start : start + _CHUNK] for start in range(0, len(numbers), _CHUNK))
    pool = ProcessPoolExecutor(processes, context, initializer=_start, initargs=(recipe,))
    try:
        for chunk in _in_order(pool, chunks, processes * _AHEAD):
            yield from chunk
    except BrokenProcessPool:
        raise RunError(
            "a process that made rows was killed (out of memory?); run the command again: it goes on where it was"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _in_order(pool: ProcessPoolExecutor, chunks: Iterable[range], ahead: int) -> Iterator[list[Made]]:
    waiting: deque[Future[list[Made]]] = deque()
    for chunk in chunks:
        waiting.append(pool.submit(_make_chunk, chunk))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _start(recipe: Recipe) -> None:
    global _maker
    _maker = Maker(recipe)


def _make_chunk(numbers: range) -> list[Made]:
    assert _maker is not None
    return [_maker.make(number) for number in numbers]
