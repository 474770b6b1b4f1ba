import pytest
from hypothesis import given
from hypothesis import strategies as st

from texlens.core.errors import DataError
from texlens.data.groups import RowGroups, split_groups


def test_rows_that_share_a_key_are_one_group_also_over_a_third():
    keys = RowGroups()
    for row in (["a"], ["b"], ["a", "c"], ["c"], []):
        keys.add(row)
    assert keys.members() == [[0, 2, 3], [1], [4]]


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=3), min_size=3, max_size=30), st.integers(0, 5))
def test_no_key_is_in_two_parts_and_each_part_has_a_row(rows, seed):
    keys = RowGroups()
    for row in rows:
        keys.add(row)
    groups = keys.members()
    shares = {"train": 0.6, "validation": 0.2, "test": 0.2}
    if len(groups) < 3:
        with pytest.raises(DataError, match="can't be divided into 3 parts"):
            split_groups(groups, shares, seed)
        return
    parts = split_groups(groups, shares, seed)
    assert set(parts) == set(shares)
    for part, keys_of_one in zip(parts, rows, strict=True):
        for other, keys_of_other in zip(parts, rows, strict=True):
            assert part == other or not set(keys_of_one) & set(keys_of_other)


def test_parts_come_near_to_their_shares():
    parts = split_groups([[row] for row in range(1000)], {"train": 0.9, "validation": 0.05, "test": 0.05}, seed=1)
    assert [parts.count(name) for name in ("train", "validation", "test")] == [900, 50, 50]
