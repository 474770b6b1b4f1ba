"""The facts of all rows: from the cache where they are known, else found out by processes side by side.

Rows are read in order by this process alone, a bounded part at a time, and what was found is committed part by part, so
a run that was killed goes on where it was.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context

from texlens.core.errors import DataError
from texlens.data.load import Rows
from texlens.data.sample import LazyImage, Sample
from texlens.data.validate.cache import StatsCache, image_key, text_key
from texlens.data.validate.formulas import latex_fault
from texlens.data.validate.image_stats import ImageStats, image_stats

PART_ROWS = 256
PART_BYTES = 8 << 20
MIN_ROWS_FOR_PROCESSES = 1_500
"""Fewer rows than these are not worth starting processes for (0.7 s each)."""

Job = tuple[list[LazyImage | bytes], list[str], bool]
Answer = tuple[list[ImageStats], list[str]]


@dataclass(frozen=True)
class RowStats:
    """A row with its images' facts in order, and what is wrong with its LaTeX (empty: nothing, or not asked)."""

    index: int
    sample: Sample
    images: tuple[ImageStats, ...]
    latex: str


@dataclass
class _Part:
    """Some rows, with the keys of their images and labels, and what still has to be found out."""

    rows: list[tuple[int, Sample, list[bytes | ImageStats], bytes]] = field(default_factory=list)
    images: dict[bytes, LazyImage | bytes] = field(default_factory=dict)
    texts: dict[bytes, str] = field(default_factory=dict)
    cached_images: dict[bytes, ImageStats] = field(default_factory=dict)
    cached_texts: dict[bytes, str] = field(default_factory=dict)
    bytes: int = 0


def scan(
    rows: Rows,
    cache: StatsCache,
    *,
    latex: bool = True,
    render: bool = False,
    processes: int | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Iterator[RowStats]:
    """Every row, in order.

    Args:
        latex: also parse the labels; with `render` lay them out too.
        processes: None is one a core, or none for few rows.

    Raises:
        DataError: a process died over an image.
    """
    with _pool(len(rows), processes) as submit:
        waiting: deque[tuple[_Part, Future[Answer] | Answer]] = deque()
        for part in _parts(rows, cache, latex, render):
            waiting.append((part, submit((list(part.images.values()), list(part.texts.values()), render))))
            if len(waiting) > 2 * (os.cpu_count() or 1):
                yield from _done(*waiting.popleft(), cache, on_progress)
        while waiting:
            yield from _done(*waiting.popleft(), cache, on_progress)


def examine(job: Job) -> Answer:
    """What a process does; images come as bytes, or as files to be read."""
    images, texts, render = job
    lazy = [LazyImage.from_bytes(image) if isinstance(image, bytes) else image for image in images]
    return [image_stats(image) for image in lazy], [latex_fault(text, render=render) for text in texts]


def _parts(rows: Rows, cache: StatsCache, latex: bool, render: bool) -> Iterator[_Part]:
    part = _Part()
    for index in range(len(rows)):
        _add(part, index, rows[index], latex, render)
        if len(part.rows) >= PART_ROWS or part.bytes >= PART_BYTES:
            yield _without_cached(part, cache)
            part = _Part()
    if part.rows:
        yield _without_cached(part, cache)


def _add(part: _Part, index: int, sample: Sample, latex: bool, render: bool) -> None:
    keys: list[bytes | ImageStats] = []
    for image in sample.images:
        try:
            data = None if image.path else image.encoded()
            key = image_key(image, data)
        except (DataError, OSError) as error:
            keys.append(_unreadable(image, error))
            continue
        keys.append(key)
        if key not in part.images:
            part.images[key] = LazyImage.from_file(image.path) if data is None and image.path else data or b""
            part.bytes += len(data or b"")
    text = text_key(sample.text, render) if latex and sample.text.strip() else b""
    if text:
        part.texts[text] = sample.text
    part.rows.append((index, sample, keys, text))


def _unreadable(image: LazyImage, error: Exception) -> ImageStats:
    reason = error if isinstance(error, DataError) else _file_fault(image, error)
    return ImageStats(problem="unreadable-image", reason=str(reason).removeprefix(f"{image.where}: ").split("; ")[0])


def _file_fault(image: LazyImage, error: Exception) -> str:
    return "no such file" if isinstance(error, FileNotFoundError) else f"can't be read ({error})"


def _without_cached(part: _Part, cache: StatsCache) -> _Part:
    part.cached_images = cache.images(list(part.images))
    part.cached_texts = cache.texts(list(part.texts))
    part.images = {key: image for key, image in part.images.items() if key not in part.cached_images}
    part.texts = {key: text for key, text in part.texts.items() if key not in part.cached_texts}
    return part


def _done(
    part: _Part, answer: Future[Answer] | Answer, cache: StatsCache, on_progress: Callable[[int], None] | None
) -> Iterator[RowStats]:
    try:
        images, texts = answer.result() if isinstance(answer, Future) else answer
    except BrokenProcessPool as error:
        first, last = part.rows[0][1].image.where, part.rows[-1][1].image.where
        raise DataError(f"{first} to {last}: a process died over these rows (out of memory?); look at them") from error
    new_stats = dict(zip(part.images, images, strict=True)), dict(zip(part.texts, texts, strict=True))
    cache.add(*new_stats)
    cached_images, cached_texts = part.cached_images | new_stats[0], part.cached_texts | new_stats[1] | {b"": ""}
    for index, sample, keys, text in part.rows:
        stats = tuple(key if isinstance(key, ImageStats) else cached_images[key] for key in keys)
        yield RowStats(index, sample, stats, cached_texts[text])
    if on_progress is not None:
        on_progress(len(part.rows))


@contextmanager
def _pool(rows: int, processes: int | None) -> Iterator[Callable[[Job], Future[Answer] | Answer]]:
    """Something that examines a job, here or in another process."""
    count = (0 if rows < MIN_ROWS_FOR_PROCESSES else os.cpu_count() or 1) if processes is None else processes
    if count == 0:
        yield examine
        return
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:

        def submit(job: Job) -> Future[Answer] | Answer:
            return pool.submit(examine, job) if job[0] or job[1] else ([], [])

        try:
            yield submit
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
