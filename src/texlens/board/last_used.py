"""The few things that were used last (data sets, sessions, scored comparisons), each made once and then held."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")


class LastUsed(Generic[Key, Item]):
    """At most `count` items by key; the one that was not used for longest goes first.

    Example:
        data_sets.get(key, lambda: load(path))
    """

    def __init__(self, count: int):
        self._count = count
        self._items: OrderedDict[Key, Item] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Key, make: Callable[[], Item]) -> Item:
        """The item that is held, or what `make` returns; threads wait for each other, so it is made once."""
        with self._lock:
            return self._hold(key, self._items[key] if key in self._items else make())

    def put(self, key: Key, item: Item) -> None:
        """Takes the place of what is held; who uses that goes on with it."""
        with self._lock:
            self._hold(key, item)

    def _hold(self, key: Key, item: Item) -> Item:
        self._items[key] = item
        self._items.move_to_end(key)
        while len(self._items) > self._count:
            self._items.popitem(last=False)
        return item
