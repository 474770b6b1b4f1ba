import time

import numpy as np

from texlens.data.validate.duplicates import exact_duplicates, near_duplicates
from texlens.data.validate.row_keys import Mark

RNG = np.random.default_rng(0)
LOOKS = [RNG.bytes(64) for _ in range(4)]


def mark(row: int, label: str = "x", image: str = "", look: bytes = b"", split: str = "train", asks: str = "") -> Mark:
    return Mark(split, row, label.encode(), asks.encode(), image.encode() or f"image {row}".encode(), look)


def same(first: Mark, second: Mark) -> bool:
    return first.label == second.label


def flipped(look: bytes, bits: int) -> bytes:
    wrong = np.unpackbits(np.frombuffer(look, np.uint8))
    wrong[np.linspace(0, 511, bits).astype(int)] ^= 1
    return np.packbits(wrong).tobytes()


def told(pairs) -> list[tuple[int, int, str]]:
    return [(row.row, other.row, kind) for row, other, kind in pairs]


def test_the_same_image_and_label_is_a_duplicate_of_the_first():
    marks = [mark(0, image="a"), mark(1, image="b"), mark(2, image="a"), mark(3, image="a")]
    assert told(exact_duplicates(marks, same)) == [(2, 0, "duplicate-row"), (3, 0, "duplicate-row")]


def test_one_image_with_two_labels_is_told_of_every_row_that_has_it():
    marks = [mark(0, "x", "a"), mark(1, "x", "a"), mark(2, "y", "a")]
    assert told(exact_duplicates(marks, same)) == [(0, 2, "two-labels"), (1, 2, "two-labels"), (2, 0, "two-labels")]


def test_labels_that_only_look_different_are_one():
    marks = [mark(0, "x_{1}", "a"), mark(1, "x_1", "a")]
    assert told(exact_duplicates(marks, lambda *_: True)) == [(1, 0, "duplicate-row")]


def test_two_questions_about_one_image_are_two_rows():
    assert not told(exact_duplicates([mark(0, "x", "a", asks="Which?"), mark(1, "y", "a", asks="Where?")], same))


def test_rows_of_two_splits_and_rows_without_image_are_no_duplicates():
    lost = [Mark("train", row, b"x", b"", b"", b"") for row in range(2)]
    assert not told(exact_duplicates([mark(0, image="a"), mark(0, image="a", split="test"), *lost], same))


def test_near_images_are_found_by_label_and_split():
    marks = [
        mark(0, "x", look=LOOKS[0]),
        mark(1, "x", look=flipped(LOOKS[0], 9)),
        mark(2, "y", look=LOOKS[1]),
        mark(3, "z", look=flipped(LOOKS[1], 15)),
        mark(4, "x", look=LOOKS[2]),
        mark(5, "x", look=flipped(LOOKS[2], 3), split="test"),
        mark(6, "x", look=LOOKS[3]),
        mark(7, "x", look=flipped(LOOKS[3], 40)),
    ]
    assert told(near_duplicates(marks, same)) == [
        (5, 4, "near-leak"),
        (1, 0, "near-duplicate"),
        (3, 2, "near-two-labels"),
    ]


def test_many_images_with_one_kind_of_margin_are_compared_in_little_time():
    looks = RNG.integers(0, 256, (20_000, 64), np.uint8)
    looks[:, :32] = 0
    marks = [mark(row, look=look.tobytes()) for row, look in enumerate(looks)]
    began = time.process_time()
    assert told(near_duplicates(marks, same)) == []
    assert time.process_time() - began < 20
