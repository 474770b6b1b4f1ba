"""Rows prepared in worker threads ahead of the engine, which decodes them as they come."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item")
Prepared = TypeVar("Prepared")


class ReadAhead(Iterator[Prepared], Generic[Item, Prepared]):
    """`prepare` of each item, in order; at most `ahead` items are prepared and not yet taken.

    An error in `prepare` is raised when its item's turn comes. `close` ends the threads; so does the last item.
    """

    def __init__(self, items: Iterable[Item], prepare: Callable[[Item], Prepared], *, workers: int, ahead: int):
        self._items, self._prepare, self._ahead = iter(items), prepare, ahead
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="texlens-prepare")
        self._pending: deque[Future[Prepared]] = deque()
        self._fill()

    @property
    def is_ready(self) -> bool:
        """Whether the next item, or the end, comes without waiting."""
        return not self._pending or self._pending[0].done()

    def __next__(self) -> Prepared:
        if not self._pending:
            self.close()
            raise StopIteration
        future = self._pending.popleft()
        self._fill()
        return future.result()

    def close(self) -> None:
        """No item is prepared any more."""
        for future in self._pending:
            future.cancel()
        self._pending.clear()
        self._items = iter(())
        self._pool.shutdown()

    def _fill(self) -> None:
        while len(self._pending) < self._ahead:
            try:
                item = next(self._items)
            except StopIteration:
                return
            self._pending.append(self._pool.submit(self._prepare, item))


def prepared_ahead(
    items: Iterable[Item], prepare: Callable[[Item], Prepared], *, workers: int, ahead: int
) -> ReadAhead[Item, Prepared]:
    """`ReadAhead` over the items."""
    return ReadAhead(items, prepare, workers=workers, ahead=ahead)
