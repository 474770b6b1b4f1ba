import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.inputs.examples import IMAGE, LAYOUT, example
from texlens.core.errors import DataError
from texlens.core.labels import IGNORE_INDEX
from texlens.data.sample import RejectedRow
from texlens.inputs.example import Example
from texlens.inputs.packed_collator import PackCollator, ShardedCollator, ShardedDataset, assign_packs, bin_pack


@given(st.lists(st.integers(1, 40), max_size=30), st.integers(10, 100))
def test_every_row_is_in_one_pack_and_packs_keep_to_the_budget(lengths, budget):
    packs = bin_pack(lengths, budget)
    assert sorted(index for pack in packs for index in pack) == list(range(len(lengths)))
    for pack in packs:
        assert sum(lengths[index] for index in pack) <= budget or len(pack) == 1
        assert pack == sorted(pack)


def test_packs_are_about_equally_long():
    assert bin_pack([5, 3, 3, 2], 8) == [[0, 3], [1, 2]]
    assert bin_pack([9, 1], 8) == [[0], [1]]


def test_rows_tokens_and_labels_add_up():
    rows = [example(str(number), (2, 2 + 2 * (number % 3)), list(range(20, 21 + number))) for number in range(9)]
    batch = PackCollator(LAYOUT, 20)([*rows, RejectedRow("x", "x.png", "damaged")])
    assert sorted(name for pack in batch["packs"] for name in pack["rows"]) == [str(number) for number in range(9)]
    assert sum(pack["tokens"] for pack in batch["packs"]) == sum(len(row) for row in rows)
    assert batch["label_count"] == sum(row.answer_tokens for row in rows)
    assert [rejected_row.id for rejected_row in batch["rejected"]] == ["x"]


def test_a_step_whose_rows_were_all_rejected_trains_on_nothing():
    rejected = RejectedRow("x", "x.png", "damaged")
    dummy_example = Example([1, IMAGE, 2], [IGNORE_INDEX] * 3, (1, 2, 2), "stand-in", np.zeros((4, 12), np.uint8))
    assert PackCollator(LAYOUT, 20, dummy_example)([rejected])["label_count"] == 0
    with pytest.raises(DataError, match=r"x\.png: damaged; no row of this step is left"):
        PackCollator(LAYOUT, 20)([rejected])


@given(st.lists(st.integers(0, 40), max_size=30), st.integers(10, 100), st.integers(1, 4))
def test_every_row_is_dealt_to_one_process(lengths, budget, processes):
    assigned = assign_packs(lengths, budget, processes)
    assert len(assigned) == processes
    packs = [pack for packs in assigned for pack in packs]
    assert all(packs)
    assert sorted(index for pack in packs for index in pack) == list(range(len(lengths)))
    assert all(sum(lengths[index] for index in pack) <= budget or len(pack) == 1 for pack in packs)


def test_processes_get_as_many_packs_of_about_as_many_tokens():
    lengths = [40, 10, 20, 30, 15, 25, 35, 5]
    assert [len(bin_pack(lengths, 70, processes)) for processes in (1, 2, 4)] == [3, 4, 4]
    for processes in (2, 4):
        assigned = assign_packs(lengths, 70, processes)
        assert {len(packs) for packs in assigned} == {4 // processes}
        assert {sum(lengths[index] for pack in packs for index in pack) for packs in assigned} == {180 // processes}


def test_a_row_longer_than_a_pack_is_weighed_against_the_others_packs():
    assert assign_packs([9, 4, 4, 4], 5, 2) == [[[0]], [[1], [2], [3]]]
    assert assign_packs([4], 8, 3) == [[[0]], [], []]


class Rows:
    """Stands for an `ExampleDataset`: row 2 is damaged in a way that only decoding shows, row 4's header is too."""

    examples = tuple(example(str(number), (2, 2 + 2 * (number % 3)), [20] * (number + 1)) for number in range(7))

    def __init__(self):
        self.requested, self.measured = [], []

    def __len__(self):
        return 7

    def __getitem__(self, index):
        self.requested.append(index)
        return RejectedRow(str(index), "x.png", "damaged") if index in (2, 4) else self.examples[index]

    def length(self, index):
        self.measured.append(index)
        return 0 if index == 4 else len(self.examples[index])


def test_processes_decode_their_own_rows_and_miss_none():
    rows = [Rows(), Rows()]
    assigned = [ShardedDataset(rows[rank], 20, rank, 2) for rank in (0, 1)]
    batches = [ShardedCollator(LAYOUT)(part.__getitems__([6, 5, 4, 3, 2, 1, 0])) for part in assigned]
    assert sorted(rows[0].requested + rows[1].requested) == list(range(7))
    assert 0 < len(rows[0].requested) < 7
    names = [name for batch in batches for pack in batch["packs"] for name in pack["rows"]]
    assert sorted(names) == ["0", "1", "3", "5", "6"]
    assert sum(batch["label_count"] for batch in batches) == 1 + 2 + 4 + 6 + 7
    assert sorted(row.id for batch in batches for row in batch.get("rejected", ())) == ["2", "4"]
    assigned[0].__getitems__([0, 6])
    assert sorted(rows[0].measured) == list(range(7))


def test_a_step_without_rows_for_a_process_is_a_batch_without_packs():
    assert ShardedCollator(LAYOUT)([]) == {"packs": [], "label_count": 0}
    assert ShardedCollator(LAYOUT)([[RejectedRow("x", "x.png", "damaged")]])["packs"] == []
