"""Rows prepared in worker threads ahead of the engine, which decodes them as they come."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Prepared = TypeVar("Prepared")


def prepared_ahead(
    items: Iterable[Item], prepare: Callable[[Item], Prepared], *, workers: int, ahead: int
) -> Iterator[Prepared]:
    """`prepare` of each item, in order; at most `ahead` items are prepared and not yet taken.

    An error in `prepare` is raised when its item's turn comes.
    """
    items, pending = iter(items), deque[Future[Prepared]]()
    with ThreadPoolExecutor(workers, thread_name_prefix="texlens-prepare") as pool:
        try:
            for item in items:
                pending.append(pool.submit(prepare, item))
                if len(pending) >= ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
