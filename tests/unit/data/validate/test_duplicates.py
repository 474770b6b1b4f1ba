import time

import numpy as np

from texlens.data.validate.duplicates import exact_duplicates, near_duplicates
from texlens.data.validate.row_keys import RowKeys

RNG = np.random.default_rng(0)
LOOKS = [RNG.bytes(64) for _ in range(4)]


def keys(
    row: int, label: str = "x", image: str = "", perceptual_hash: bytes = b"", split: str = "train", asks: str = ""
) -> RowKeys:
    return RowKeys(
        split, row, label.encode(), asks.encode(), image.encode() or f"image {row}".encode(), perceptual_hash
    )


def same(first: RowKeys, second: RowKeys) -> bool:
    return first.label == second.label


def flipped(perceptual_hash: bytes, bits: int) -> bytes:
    wrong = np.unpackbits(np.frombuffer(perceptual_hash, np.uint8))
    wrong[np.linspace(0, 511, bits).astype(int)] ^= 1
    return np.packbits(wrong).tobytes()


def pairs_of(pairs) -> list[tuple[int, int, str]]:
    return [(row.row, other.row, kind) for row, other, kind in pairs]


def test_the_same_image_and_label_is_a_duplicate_of_the_first():
    keys_of_rows = [keys(0, image="a"), keys(1, image="b"), keys(2, image="a"), keys(3, image="a")]
    assert pairs_of(exact_duplicates(keys_of_rows, same)) == [(2, 0, "duplicate-row"), (3, 0, "duplicate-row")]


def test_one_image_with_two_labels_is_reported_for_every_row_that_has_it():
    keys_of_rows = [keys(0, "x", "a"), keys(1, "x", "a"), keys(2, "y", "a")]
    assert pairs_of(exact_duplicates(keys_of_rows, same)) == [
        (0, 2, "two-labels"),
        (1, 2, "two-labels"),
        (2, 0, "two-labels"),
    ]


def test_labels_that_only_look_different_are_one():
    keys_of_rows = [keys(0, "x_{1}", "a"), keys(1, "x_1", "a")]
    assert pairs_of(exact_duplicates(keys_of_rows, lambda *_: True)) == [(1, 0, "duplicate-row")]


def test_two_questions_about_one_image_are_two_rows():
    assert not pairs_of(exact_duplicates([keys(0, "x", "a", asks="Which?"), keys(1, "y", "a", asks="Where?")], same))


def test_rows_of_two_splits_and_rows_without_image_are_no_duplicates():
    lost = [RowKeys("train", row, b"x", b"", b"", b"") for row in range(2)]
    assert not pairs_of(exact_duplicates([keys(0, image="a"), keys(0, image="a", split="test"), *lost], same))


def test_near_images_are_found_by_label_and_split():
    keys_of_rows = [
        keys(0, "x", perceptual_hash=LOOKS[0]),
        keys(1, "x", perceptual_hash=flipped(LOOKS[0], 9)),
        keys(2, "y", perceptual_hash=LOOKS[1]),
        keys(3, "z", perceptual_hash=flipped(LOOKS[1], 15)),
        keys(4, "x", perceptual_hash=LOOKS[2]),
        keys(5, "x", perceptual_hash=flipped(LOOKS[2], 3), split="test"),
        keys(6, "x", perceptual_hash=LOOKS[3]),
        keys(7, "x", perceptual_hash=flipped(LOOKS[3], 40)),
    ]
    assert pairs_of(near_duplicates(keys_of_rows, same)) == [
        (5, 4, "near-leak"),
        (1, 0, "near-duplicate"),
        (3, 2, "near-two-labels"),
    ]


def test_many_images_with_one_kind_of_margin_are_compared_in_little_time():
    hashes = RNG.integers(0, 256, (20_000, 64), np.uint8)
    hashes[:, :32] = 0
    keys_of_rows = [keys(row, perceptual_hash=perceptual_hash.tobytes()) for row, perceptual_hash in enumerate(hashes)]
    began = time.process_time()
    assert pairs_of(near_duplicates(keys_of_rows, same)) == []
    assert time.process_time() - began < 20
