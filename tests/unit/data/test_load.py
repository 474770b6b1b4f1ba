from collections import Counter

import datasets
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.data.tables import write_parquet, write_splits
from texlens.core.errors import DataError
from texlens.data.load import count_shared_labels, drawn, load_split, row_numbers, split_by_label


@pytest.fixture
def ten(tmp_path):
    return write_splits(tmp_path, train=[f"x{n}" for n in range(10)])


def test_all_rows_come_in_order(ten):
    assert load_split(ten).texts() == [f"x{n}" for n in range(10)]
    assert load_split(ten)[-1].text == "x9"
    assert load_split(ten)[2:4].texts() == ["x2", "x3"]


def test_the_same_seed_draws_the_same_rows_in_order():
    assert drawn(5, limit=2, seed=0) == [2, 4]
    assert drawn(5, limit=2, seed=0) == drawn(5, limit=2, seed=0)
    assert drawn(1000, limit=10, seed=0) != drawn(1000, limit=10, seed=1)


@given(count=st.integers(1, 200), limit=st.integers(1, 200), fraction=st.floats(0.01, 1), seed=st.integers(0, 3))
@settings(deadline=None)
def test_a_smaller_draw_is_a_part_of_a_larger_one(count, limit, fraction, seed):
    rows = drawn(count, fraction=fraction, limit=limit, seed=seed)
    assert len(rows) == min(limit, max(1, int(fraction * count)))
    assert rows == sorted(set(rows))
    assert set(rows) <= set(drawn(count, fraction=min(1, fraction * 2), limit=limit + 1, seed=seed))


@pytest.mark.parametrize(("count", "fraction"), [(9_943, 0.002), (997, 0.29), (76_318, 0.002)])
def test_rows_of_a_fraction_are_those_of_a_shuffle_of_datasets(count, fraction):
    shuffled = datasets.Dataset.from_dict({"row": list(range(count))}).shuffle(seed=222)
    selected = shuffled.select(range(int(count * fraction)))["row"]
    assert drawn(count, fraction=fraction, seed=222) == sorted(selected)


def test_a_limit_and_a_fraction_are_drawn_when_loading(ten):
    assert len(load_split(ten, fraction=0.5)) == 5
    assert len(load_split(ten, fraction=0.5, limit=3)) == 3
    assert len(load_split(ten, limit=99)) == 10


def test_a_run_of_rows_can_be_named_as_a_split(ten):
    assert load_split(ten, split="train[:8]").texts()[-1] == "x7"
    assert load_split(ten, split="train[8:10]").texts() == ["x8", "x9"]
    assert load_split(ten, split="train[8:]")[0].id == "train-8"


def test_rejected_rows_are_drawn_with_the_rest(tmp_path):
    (tmp_path / "rows.jsonl").write_text("{}\n" * 30)
    rows = load_split(tmp_path / "rows.jsonl")
    assert (len(rows), rows.total) == (0, 30)
    assert load_split(tmp_path / "rows.jsonl", limit=7).total == 7


def test_the_fingerprint_distinguishes_rows_and_files(tmp_path):
    first = write_splits(tmp_path / "one", train=["x", "y"])
    same = write_splits(tmp_path / "same", train=["x", "y"])
    texts = write_splits(tmp_path / "texts", train=["x", "z"])
    images = write_parquet(tmp_path / "images" / "train-00000-of-00001.parquet", ["x", "y"], [b"a", b"b"]).parent
    prints = [load_split(folder).fingerprint for folder in (first, same, texts, images)]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3
    assert load_split(first, limit=1).fingerprint != prints[0]


@pytest.fixture
def labels(tmp_path):
    """200 rows of 40 labels, written with and without spaces."""
    return load_split(
        write_splits(tmp_path, train=[f"x ^ {n % 40}" if n % 2 < 1 or n > 100 else f"x^{n % 40}" for n in range(200)])
    )


def test_no_label_is_in_two_parts_and_no_row_is_lost(labels):
    parts = split_by_label(labels, {"validation": 0.1, "test": 0.2}, seed=3)
    assert {name: len(rows) for name, rows in parts.items()} == {"validation": 20, "test": 40, "rest": 140}
    contents = [{"".join(text.split()) for text in rows.texts()} for rows in parts.values()]
    assert not contents[0] & contents[1]
    assert not (contents[0] | contents[1]) & contents[2]
    assert Counter(id for rows in parts.values() for id in rows.ids()) == Counter(labels.ids())


def test_the_seed_decides_the_parts(labels):
    first, again, other = (split_by_label(labels, {"test": 0.2}, seed)["test"].ids() for seed in (0, 0, 1))
    assert first == again != other


def test_whole_labels_come_as_near_to_a_share_as_they_can(tmp_path):
    rows = load_split(write_splits(tmp_path, train=["a"] * 90 + ["b"] * 6 + ["c"] * 4))
    for seed in range(6):
        parts = split_by_label(rows, {"test": 0.05}, seed)
        assert len(parts["test"]) in (4, 6)


def test_too_few_labels_are_rejected(tmp_path):
    rows = load_split(write_splits(tmp_path, train=["a"] * 9 + ["b"]))
    with pytest.raises(DataError, match="2 different labels can't be divided into 3 parts"):
        split_by_label(rows, {"validation": 0.1, "test": 0.1})
    assert {name: set(part.texts()) for name, part in split_by_label(rows, {"test": 0.5}).items()} in (
        {"test": {"a"}, "rest": {"b"}},
        {"test": {"b"}, "rest": {"a"}},
    )


def test_shared_labels_are_counted_without_spaces(tmp_path):
    folder = write_splits(tmp_path, train=["x ^ 2", "y"], test=["x^2", "x^2", "z"])
    assert count_shared_labels(load_split(folder, split="test"), load_split(folder)) == (2, 1)


def test_the_published_test_labels_of_human_handwrite_are_in_train_and_a_split_by_label_fixes_it(shared_data):
    folder = shared_data / "LaTeX_OCR"
    train, test = (load_split(folder, subset="human_handwrite", split=split) for split in ("train", "test"))
    assert count_shared_labels(test, train)[0] == len(test)
    parts = split_by_label(train, {"validation": 0.05, "test": 0.1})
    assert (
        count_shared_labels(parts["test"], parts["rest"])
        == count_shared_labels(parts["validation"], parts["rest"])
        == (0, 0)
    )
    assert {name: len(rows) for name, rows in parts.items()} == {"validation": 60, "test": 120, "rest": 1020}


@pytest.mark.parametrize(("count", "seed", "share"), [(1000, 222, 0.002), (999, 222, 0.5), (7, 0, 0.3)])
def test_a_shuffled_share_is_that_of_datasets_in_its_order(count, seed, share):
    from datasets import Dataset

    rows = Dataset.from_dict({"row": range(count)})
    expected = rows.shuffle(seed).select(range(int(count * share)))["row"]
    assert row_numbers(f"train@{seed}[:{share}]", count) == list(expected)


def test_rows_of_a_shuffled_share_come_in_the_shuffled_order(tmp_path):
    write_splits(tmp_path, train=[f"x_{row}" for row in range(10)])
    order = row_numbers("train@3[:0.5]", 10)
    assert load_split(tmp_path, split="train@3[:0.5]").texts() == [f"x_{row}" for row in order]
