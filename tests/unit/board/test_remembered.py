"""What was opened on a page, by key."""

import pytest

from texlens.board.remembered import MAX_REMEMBERED, Remembered
from texlens.core.errors import RunError


def test_the_same_thing_has_the_same_key_and_comes_first(tmp_path):
    remembered = Remembered(tmp_path / "a" / "data.json")
    first = remembered.add({"path": "a"})
    remembered.add({"path": "b"})
    assert remembered.add({"path": "a"}) == first
    assert [each["path"] for each in Remembered(remembered.path).entries()] == ["a", "b"]
    assert remembered.get(first) == {"key": first, "path": "a"}


def test_what_was_never_opened_is_refused(tmp_path):
    with pytest.raises(RunError, match="not opened on this board"):
        Remembered(tmp_path / "data.json").get("../../etc")


def test_a_damaged_file_counts_as_empty(tmp_path):
    (tmp_path / "data.json").write_text("{")
    assert Remembered(tmp_path / "data.json").entries() == []


def test_the_oldest_are_forgotten(tmp_path):
    remembered = Remembered(tmp_path / "data.json")
    for number in range(MAX_REMEMBERED + 3):
        remembered.add({"path": str(number)})
    assert len(remembered.entries()) == MAX_REMEMBERED
    assert remembered.entries()[-1]["path"] == "3"
