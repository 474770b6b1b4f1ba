from texlens.data.validate.leaks import by_role, leaks, overlaps
from texlens.data.validate.row_keys import RowKeys


def keys_of_rows(**splits: str) -> list[RowKeys]:
    """A row a letter: its label and its image; a small letter is the label of the large one on another image."""
    return [
        RowKeys(split, row, letter.upper().encode(), b"", letter.encode(), b"")
        for split, letters in splits.items()
        for row, letter in enumerate(letters)
    ]


def test_splits_come_in_the_order_of_their_roles():
    assert by_role(["test", "extra", "train", "val"]) == ["train", "val", "test", "extra"]


def test_each_row_is_reported_with_its_first_location():
    overlap = [
        (m.split, m.row, o.split, o.row, kind) for m, o, kind in leaks(keys_of_rows(test="AbX", train="AB", val="X"))
    ]
    assert overlap == [
        ("test", 0, "train", 0, "image-leak"),
        ("test", 0, "train", 0, "label-leak"),
        ("test", 1, "train", 1, "label-leak"),
        ("test", 2, "val", 0, "image-leak"),
        ("test", 2, "val", 0, "label-leak"),
    ]


def test_a_split_that_is_a_run_of_another_is_reported_as_one():
    lines = [str(overlap) for overlap in overlaps(keys_of_rows(train="XABCY", test="ABC"))]
    assert lines == [
        "train: 3 of 5 different labels (3 of 5 rows) and 3 of 5 images are also in test",
        "test: all 3 rows are rows 1 to 3 of train",
    ]


def test_labels_alone_are_counted_by_rows_and_by_kind():
    overlap = overlaps(keys_of_rows(train="AABC", test="aabd"))[1]
    assert (overlap.label_rows, overlap.labels, overlap.shared_labels, overlap.image_rows) == (3, 3, 2, 0)
    assert str(overlap) == "test: 2 of 3 different labels (3 of 4 rows) are also in train"


def test_splits_that_share_nothing_do_not_leak():
    assert not any(overlap.leaks for overlap in overlaps(keys_of_rows(train="AB", test="CD")))
    assert str(overlaps(keys_of_rows(train="AB", test="CD"))[0]) == "train: nothing is also in test"
