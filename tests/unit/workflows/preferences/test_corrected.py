"""Pairs of corrected rows."""

import pytest

from tests.fixtures.drawn_images import drawn
from texlens.core.errors import DataError
from texlens.data.edits.log import EditLog
from texlens.data.edits.row_key import RowKeyIndex
from texlens.data.folder.writer import FolderWriter
from texlens.data.load import load_split
from texlens.data.sample import LazyImage, Sample
from texlens.workflows.preferences.corrected import corrected_rows


@pytest.fixture
def source(tmp_path):
    with FolderWriter(tmp_path / "source", made_by={}) as writer:
        for number, extra in enumerate(({"corrected": "a + b"}, {}, {"corrected": "a + c"})):
            image = LazyImage.from_bytes(drawn(40, 40, number))
            writer.add("train", Sample(f"r{number}", image, "a + c", extra=extra))
    return load_split(str(tmp_path / "source"))


def test_a_slip_is_paired_with_the_formula_that_it_was_made_from(source, tmp_path):
    statistics, _ = corrected_rows(source, tmp_path / "out")
    assert (statistics["kept"], statistics["rejected"]) == (1, 2)
    assert statistics["rejected_by_kind"] == {"not corrected": 1, "same text": 1}
    (pair,) = load_split(str(tmp_path / "out"))
    assert (pair.text, pair.extra["rejected"]) == ("a + c", "a + b")


def test_a_corrected_label_is_paired_with_the_one_before(source, tmp_path):
    log = EditLog(tmp_path / "edits.jsonl")
    log.append(RowKeyIndex(source).key(1), "label", "a + d", old=None, who="anna")
    corrected_rows(source, tmp_path / "out", edits=log.path)
    (pair,) = load_split(str(tmp_path / "out"))
    assert (pair.id, pair.text, pair.extra["rejected"]) == ("r1", "a + d", "a + c")


def test_an_edits_file_without_edits_is_an_error(source, tmp_path):
    with pytest.raises(DataError, match="no edits file"):
        corrected_rows(source, tmp_path / "out", edits=tmp_path / "none.jsonl")
