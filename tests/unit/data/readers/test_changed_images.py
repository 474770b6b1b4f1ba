"""Rows whose images are changed: contents, sizes and fingerprints follow; each image is changed once."""

from tests.unit.data.pictures import png
from tests.unit.data.tables import write_splits
from texlens.data.load import load_split


def test_images_are_those_after_the_change_and_all_else_stays(tmp_path):
    rows = load_split(str(write_splits(tmp_path, train=["a", "b", "c"])))
    changes = []

    def change(image):
        changes.append(image.where)
        return png(64, 48)

    changed = rows.with_images(change)
    assert [sample.image.size for sample in changed] == [(64, 48)] * 3
    assert [sample.image.load().size for sample in changed] == [(64, 48)] * 3
    assert len(changes) == 3
    assert [sample.image.where for sample in changed] == [sample.image.where for sample in rows]
    assert (changed.texts(), changed.ids(), changed.where) == (rows.texts(), rows.ids(), rows.where)
    assert changed.fingerprint != rows.fingerprint
    assert changed.take([2])[0].image.size == (64, 48)
