"""Edits are applied when rows are read; the source's files stay as they are."""

import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.unit.data.pictures import png
from tests.unit.data.tables import write_parquet
from texlens.core.errors import DataError
from texlens.data.edits.edited_source import edited, edits_file, pinned
from texlens.data.edits.log import EditLog
from texlens.data.edits.row_key import RowKeyIndex
from texlens.data.load import load_split

TEXTS = ["x", "y", "x", "z"]
PICTURES = [png(16, 8, seed) for seed in (0, 1, 2, 3)]


@pytest.fixture
def data(tmp_path):
    write_parquet(tmp_path / "d" / "train-00000-of-00001.parquet", TEXTS, PICTURES)
    return str(tmp_path / "d")


@pytest.fixture
def log(tmp_path):
    return EditLog(tmp_path / "edits.jsonl")


def edit(log, data, row, kind, new, **other):
    rows = load_split(data)
    return log.append(RowKeyIndex(rows).key(row), kind, new, old=rows.text(row), who="anna", split="train", **other)


def test_a_label_is_replaced_and_the_file_stays(data, log):
    file = next(Path(data).glob("*.parquet"))
    before = file.read_bytes()
    edit(log, data, 2, "label", r"\frac{1}{2}")
    rows = load_split(data, edits=str(log.path))
    assert rows.texts() == ["x", "y", r"\frac{1}{2}", "z"]
    assert [sample.text for sample in rows] == rows.texts()
    assert rows[2].image.encoded() == PICTURES[2]
    assert file.read_bytes() == before


def test_an_excluded_row_is_rejected_with_who_and_why(data, log):
    edit(log, data, 1, "exclude", "blurred")
    rows = load_split(data, edits=str(log.path))
    assert rows.texts() == ["x", "x", "z"]
    assert rows.total == 4
    assert rows.rejected[0].kind == "excluded"
    assert rows.rejected[0].reason.startswith("excluded by anna on 20")
    assert rows.rejected[0].reason.endswith(": blurred")


def test_a_mark_changes_no_row(data, log):
    edit(log, data, 1, "mark", "ask")
    assert load_split(data, edits=str(log.path)).fingerprint == load_split(data).fingerprint


def test_an_undone_edit_leaves_the_source(data, log):
    edit(log, data, 1, "label", "w")
    edit(log, data, 1, "label", None)
    edit(log, data, 0, "exclude", "blurred")
    edit(log, data, 0, "exclude", None)
    assert load_split(data, edits=str(log.path)).fingerprint == load_split(data).fingerprint


def test_edits_change_the_fingerprint(data, log):
    edit(log, data, 1, "label", "w")
    assert load_split(data, edits=str(log.path)).fingerprint != load_split(data).fingerprint


def test_edits_find_their_rows_after_reordering(data, log, tmp_path):
    edit(log, data, 2, "label", "third")
    edit(log, data, 3, "exclude", "")
    table = pq.read_table(next(Path(data).glob("*.parquet")))
    order = [3, 2, 1, 0]
    random.Random(0).shuffle(order)
    (tmp_path / "moved").mkdir()
    pq.write_table(table.take(order), tmp_path / "moved" / "train-00000-of-00001.parquet")
    rows = load_split(str(tmp_path / "moved"), edits=str(log.path))
    expected = {0: "x", 1: "y", 2: "third"}
    assert rows.texts() == [expected[number] for number in order if number != 3]


def test_of_equal_rows_one_can_be_excluded(tmp_path, log):
    write_parquet(tmp_path / "d" / "train-00000-of-00001.parquet", ["x", "x"], [PICTURES[0]] * 2)
    edit(log, str(tmp_path / "d"), 1, "exclude", "twice")
    rows = load_split(str(tmp_path / "d"), edits=str(log.path))
    assert (rows.ids(), rows.total) == (["train-0"], 2)


def test_a_slice_is_of_the_edited_rows(data, log):
    edit(log, data, 0, "exclude", "")
    assert load_split(data, split="train[1:3]", edits=str(log.path)).texts() == ["y", "x"]


def test_a_version_of_the_file_is_read(data, log):
    edit(log, data, 1, "label", "w")
    edit(log, data, 1, "label", "v")
    assert load_split(data, edits=f"{log.path}@1").texts()[1] == "w"
    assert pinned(str(log.path)) == f"{log.path}@2"
    assert pinned(f"{log.path}@1") == f"{log.path}@1"


def test_edits_whose_row_has_changed_since_are_named(data, log, tmp_path, capsys):
    edit(log, data, 1, "label", "w")
    write_parquet(tmp_path / "d" / "train-00000-of-00001.parquet", ["x", "changed", "x", "z"], PICTURES)
    assert load_split(data, edits=str(log.path)).texts()[1] == "changed"
    assert "1 edit matches no row" in capsys.readouterr().err


def test_edits_of_another_split_are_no_fault(data, log, capsys):
    log.append("a.b.0", "label", "w", who="anna", split="test")
    load_split(data, edits=str(log.path))
    assert capsys.readouterr().err == ""


def test_a_file_that_is_not_there_is_an_error(data, tmp_path):
    with pytest.raises(DataError, match=r"no such file of edits; check data\.edits"):
        load_split(data, edits=str(tmp_path / "none.jsonl"))


def test_a_rejected_row_of_the_source_stays_rejected(tmp_path, log):
    (tmp_path / "rows.csv").write_text("image,text\na.png,x\n")
    (tmp_path / "a.png").write_bytes(PICTURES[0])
    (tmp_path / "b.png").write_bytes(PICTURES[1])
    (tmp_path / "rows.csv").write_text("image,text\na.png\nb.png,y\n")
    data = str(tmp_path / "rows.csv")
    edit(log, data, 0, "label", "w")
    rows = load_split(data, edits=str(log.path))
    assert rows.texts() == ["w"]
    assert len(rows.rejected) == 1


def test_an_at_sign_in_a_file_name_is_no_version(tmp_path):
    (tmp_path / "a@1").write_text("")
    assert edits_file(str(tmp_path / "a@1")) == (tmp_path / "a@1", None)
    assert edits_file(str(tmp_path / "b@1")) == (tmp_path / "b", 1)


def test_the_note_of_the_source_is_kept(data, log):
    edit(log, data, 1, "label", "w")
    from texlens.data.readers.registry import open_source

    source = edited(open_source(data, "train"), "train", str(log.path))
    assert (source.where, len(source), source.id(1)) == (open_source(data, "train").where, 4, "train-1")
