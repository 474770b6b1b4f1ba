"""Rows prepared in worker threads ahead of the engine, which decodes them as they come."""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from threading import Lock
from typing import Generic, TypeVar

Item = TypeVar("Item")
Prepared = TypeVar("Prepared")

PACK_ROWS = 64
"""Rows that fill a pack of prompts, or more."""
GATHER_S = 0.1
"""How long an engine without work waits for a pack of rows rather than read the first one alone."""
TURN_S = 2e-4
"""How long a thread may keep the interpreter while the one that launches the GPU's work waits for it."""


class ReadAhead(Iterator[Prepared], Generic[Item, Prepared]):
    """`prepare` of each item, in order; at most `ahead` items are prepared and not yet taken.

    Items that are taken make room, but no others are begun before `refill`, or before none is left: the thread that
    takes them can do without the workers for a while. An error in `prepare` is raised when its item's turn comes.
    `close` ends the threads; so does the last item.
    """

    def __init__(self, items: Iterable[Item], prepare: Callable[[Item], Prepared], *, workers: int, ahead: int):
        self._items, self._prepare, self._ahead = iter(items), prepare, ahead
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="texlens-prepare")
        self._pending: deque[Future[Prepared]] = deque()
        self._is_exhausted = False
        self.refill()

    @property
    def is_ready(self) -> bool:
        """Whether the next item, or the end, comes without waiting."""
        return self._pending[0].done() if self._pending else self._is_exhausted

    def __next__(self) -> Prepared:
        if not self._pending:
            self.refill()
        if not self._pending:
            self.close()
            raise StopIteration
        return self._pending.popleft().result()

    def close(self) -> None:
        """No item is prepared any more."""
        for future in self._pending:
            future.cancel()
        self._pending.clear()
        self._items, self._is_exhausted = iter(()), True
        self._pool.shutdown()

    def gather(self, count: int, timeout_s: float) -> None:
        """Waits until the next `count` items are prepared, or all that are begun, but no longer than `timeout_s`."""
        wait(list(islice(self._pending, count)), timeout_s)

    def refill(self) -> None:
        """Begins items until `ahead` are prepared or under way."""
        while len(self._pending) < self._ahead and not self._is_exhausted:
            try:
                item = next(self._items)
            except StopIteration:
                self._is_exhausted = True
                return
            self._pending.append(self._pool.submit(self._prepare, item))


def prepared_ahead(
    items: Iterable[Item], prepare: Callable[[Item], Prepared], *, workers: int, ahead: int
) -> ReadAhead[Item, Prepared]:
    """`ReadAhead` over the items."""
    return ReadAhead(items, prepare, workers=workers, ahead=ahead)


@contextmanager
def short_turns(is_on: bool = True) -> Iterator[None]:
    """Threads take turns often: one that launches hundreds of kernels gives the interpreter up at each of them, and
    would wait 5 ms for it whenever another thread is at work."""
    if not is_on:
        yield
        return
    _short_turns.enter()
    try:
        yield
    finally:
        _short_turns.leave()


class _ShortTurns:
    """Who asked for short turns; blocks of several threads may end in any order, and the last restores the interval."""

    def __init__(self) -> None:
        self._lock, self._users, self._usual = Lock(), 0, 0.0

    def enter(self) -> None:
        with self._lock:
            if self._users == 0:
                self._usual = sys.getswitchinterval()
                sys.setswitchinterval(min(self._usual, TURN_S))
            self._users += 1

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                sys.setswitchinterval(self._usual)


_short_turns = _ShortTurns()
