"""Things that are made once and held while they are used."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from texlens.board.last_used import LastUsed


def test_what_was_not_used_for_longest_goes_first():
    calls = []
    items = LastUsed(2)

    def get(key):
        return items.get(key, lambda: calls.append(key) or key)

    for key in "abacba":
        assert get(key) == key
    assert calls == ["a", "b", "c", "b", "a"]


def test_putting_replaces_and_makes_room():
    items = LastUsed(1)
    items.put("a", 1)
    items.put("a", 2)
    assert items.get("a", lambda: 3) == 2
    items.put("b", 1)
    assert items.get("a", lambda: 3) == 3


def test_what_can_t_be_made_is_not_held():
    items = LastUsed(1)
    with pytest.raises(ZeroDivisionError):
        items.get("a", lambda: 1 // 0)
    assert items.get("a", lambda: 1) == 1


def test_threads_get_one_item():
    items = LastUsed(1)
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: id(items.get("a", object)), range(64)))) == 1
