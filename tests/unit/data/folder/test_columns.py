"""Samples as columns of a folder."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fixtures.thorough import IS_THOROUGH
from tests.unit.data.sample_factory import samples, values
from texlens.data.folder.writer import FolderWriter, read_folder

QUICK = settings(max_examples=40 if IS_THOROUGH else 12, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def folder_of(path, rows):
    with FolderWriter(path, made_by={}) as writer:
        for row in rows:
            writer.add("train", row)
    return read_folder(path)


@QUICK
@given(st.lists(samples(), min_size=1, max_size=4, unique_by=lambda sample: sample.id))
def test_the_folder_keeps_every_sample(tmp_path_factory, rows):
    read = folder_of(tmp_path_factory.mktemp("rows") / "d", rows)
    assert [values(row) for row in read["train"]] == [values(row) for row in rows]
