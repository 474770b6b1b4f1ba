"""Rows are found by content, wherever they are."""

from dataclasses import replace
from pathlib import Path

from tests.unit.data.pictures import png
from texlens.data.edits.row_key import RowKeyIndex, content_key
from texlens.data.lazy_image import LazyImage
from texlens.data.sample import Sample

PICTURES = [png(16, 8, seed) for seed in range(4)]


class Listed(list):
    def text(self, index):
        return self[index].text


def row(id, picture, text, read=None, **other):
    return Sample(id, LazyImage(read or (lambda: PICTURES[picture]), id), text, **other)


ROWS = Listed([row("a", 0, "x"), row("b", 1, "x"), row("c", 2, "y"), row("d", 0, "x"), row("e", 3, "z")])


def test_each_row_has_its_own_key_even_beside_an_equal_one():
    keys = RowKeyIndex(ROWS).keys(range(5))
    assert len(set(keys)) == 5
    assert keys[0].removesuffix(".0") == keys[3].removesuffix(".1")


def test_keys_survive_reordering_and_other_ids():
    keys = dict(zip("abce", RowKeyIndex(ROWS).keys([0, 1, 2, 4]), strict=True))
    moved = Listed([replace(ROWS[number], id=f"new-{number}") for number in (4, 2, 1, 0)])
    assert RowKeyIndex(moved).find(keys.values()) == {0: keys["e"], 1: keys["c"], 2: keys["b"], 3: keys["a"]}


def test_a_row_with_another_label_image_or_question_is_another_row():
    key = RowKeyIndex(ROWS).key(2)
    for other in (row("c", 2, "y "), row("c", 3, "y"), row("c", 2, "y", prompt="What?")):
        assert RowKeyIndex(Listed([other])).find([key]) == {}


def test_only_images_of_rows_with_an_edited_label_are_read():
    reads = []

    def read(picture):
        reads.append(picture)
        return PICTURES[picture]

    rows = Listed([row(str(n), n, f"label {n}", lambda n=n: read(n)) for n in range(4)])
    index = RowKeyIndex(rows)
    key = index.key(2)
    reads.clear()
    assert RowKeyIndex(rows).find([key]) == {2: key}
    assert reads == [2]


def test_an_image_that_can_not_be_read_has_a_key():
    missing = Sample("a", LazyImage.from_file(Path("/no/such.png")), "x")
    assert content_key(missing) == content_key(missing)
