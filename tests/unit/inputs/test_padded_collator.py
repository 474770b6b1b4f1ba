import numpy as np
import pytest
import torch

from texlens.core.errors import DataError
from texlens.data.sample import RejectedRow
from texlens.inputs.branches.share_prefix import share_prefix
from texlens.inputs.example import Example
from texlens.inputs.padded_collator import Collator


def example(ids, labels, value=0.0):
    return Example(ids, labels, (1, 2, 2), "a", np.full((4, 6), value, np.float32))


SHORT = example([9, 7], [-100, 7], 1.0)
LONG = example([9, 5, 6], [-100, 5, 6], 2.0)


def test_a_batch_is_padded_on_the_right():
    batch = Collator(pad_token_id=0, image_token_id=9)([LONG, SHORT])
    assert batch["input_ids"].tolist() == [[9, 5, 6], [9, 7, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch["labels"].tolist() == [[-100, 5, 6], [-100, 7, -100]]
    assert batch["mm_token_type_ids"].tolist() == [[1, 0, 0], [1, 0, 0]]
    assert batch["image_grid_thw"].tolist() == [[1, 2, 2], [1, 2, 2]]
    assert batch["pixel_values"].shape == (8, 6)
    assert batch["pixel_values"].dtype == torch.float32
    assert batch["pixel_values"][:, 0].tolist() == [2, 2, 2, 2, 1, 1, 1, 1]


def test_a_batch_is_padded_on_the_left_for_generation():
    batch = Collator(pad_token_id=0, image_token_id=9, left=True)([SHORT, LONG])
    assert batch["input_ids"].tolist() == [[0, 9, 7], [9, 5, 6]]
    assert batch["attention_mask"].tolist() == [[0, 1, 1], [1, 1, 1]]
    assert batch["labels"].tolist() == [[-100, -100, 7], [-100, 5, 6]]


def test_branches_are_rows_of_their_own():
    shared = share_prefix([example([9, 5, 6], [-100, -100, 6]), example([9, 5, 7, 8], [-100, -100, 7, 8])], 9)
    batch = Collator(pad_token_id=0, image_token_id=9)([shared, SHORT])
    assert batch["input_ids"].tolist() == [[9, 5, 6, 0], [9, 5, 7, 8], [9, 7, 0, 0]]
    assert batch["labels"].tolist() == [[-100, -100, 6, -100], [-100, -100, 7, 8], [-100, 7, -100, -100]]
    assert batch["pixel_values"].shape == (12, 6)


def test_padding_that_is_also_the_end_token_hides_no_label():
    batch = Collator(pad_token_id=7, image_token_id=9)([LONG, SHORT])
    assert batch["labels"].tolist() == [[-100, 5, 6], [-100, 7, -100]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]


def test_rejected_rows_are_passed_on_and_the_rest_is_the_batch():
    rejected_row = RejectedRow("b", "row 2", "damaged")
    batch = Collator(0, 9)([LONG, rejected_row])
    assert batch["rejected"] == [rejected_row]
    assert len(batch["input_ids"]) == 1
    assert "rejected" not in Collator(0, 9)([LONG])


def test_a_batch_of_rejected_rows_alone_becomes_the_dummy_example_without_a_label():
    dummy_example = example([9, 1], [-100, -100])
    batch = Collator(0, 9, dummy_example=dummy_example)([RejectedRow("b", "row 2", "damaged")])
    assert batch["input_ids"].tolist() == [[9, 1]]
    assert (batch["labels"] == -100).all()
    with pytest.raises(DataError, match="row 2: damaged; no row of this batch is left"):
        Collator(0, 9)([RejectedRow("b", "row 2", "damaged")])


def test_images_of_one_row_stand_one_after_the_other():
    two = Example([9, 9, 5], [-100, -100, 5], (1, 2, 2), "a", np.zeros((8, 6), np.float32), ((1, 2, 2),))
    batch = Collator(0, 9)([two, example([9, 7], [-100, 7], 1.0)])
    assert batch["image_grid_thw"].tolist() == [[1, 2, 2]] * 3
    assert batch["pixel_values"].shape == (12, 6)
