import errno
import pickle

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit.data.pictures import png
from tests.unit.data.tables import write_parquet, write_splits
from texlens.core.errors import DataError
from texlens.data.load import load_split
from texlens.data.readers.formats import parquet


def test_rows_are_image_text_and_place(tmp_path):
    write_splits(tmp_path, train=["x", "y"])
    rows = load_split(tmp_path)
    assert [(sample.id, sample.text, sample.image.size) for sample in rows] == [
        ("train-0", "x", (64, 32)),
        ("train-1", "y", (64, 32)),
    ]
    assert rows[1].image.where == f"{tmp_path}/train-00000-of-00001.parquet row 1"


def test_shards_follow_one_another_and_places_name_the_shard(tmp_path):
    write_parquet(tmp_path / "train-00000-of-00002.parquet", ["a", "b"])
    write_parquet(tmp_path / "train-00001-of-00002.parquet", ["c"], [png(10, 20)])
    rows = load_split(tmp_path)
    assert rows.texts() == ["a", "b", "c"]
    assert rows[2].image.where.endswith("train-00001-of-00002.parquet row 0")
    assert rows[2].image.size == (10, 20)


def test_no_image_is_read_before_it_is_asked_for(tmp_path, monkeypatch):
    write_splits(tmp_path, train=["x"] * 5)
    monkeypatch.setattr(parquet, "_images", lambda *_: pytest.fail("images were read"))
    rows = load_split(tmp_path)
    assert (len(rows), rows[4].text, rows.ids()[4]) == (5, "x", "train-4")


def test_rows_go_to_a_worker_without_the_images_that_were_read(tmp_path):
    write_splits(tmp_path, train=["x"], test=["y"])
    rows = load_split(tmp_path)
    data = rows[0].image.read()
    sent = pickle.dumps(rows)
    assert data not in sent
    assert pickle.loads(sent)[0].image.read() == data


def test_a_large_split_is_mapped_from_the_arrow_copy(tmp_path, monkeypatch):
    write_splits(tmp_path / "data", train=["x", "y"])
    held = [sample.image.read() for sample in load_split(tmp_path / "data")]
    monkeypatch.setattr(parquet, "MAX_IN_MEMORY_BYTES", 10)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    assert [sample.image.read() for sample in load_split(tmp_path / "data")] == held
    assert any((tmp_path / "cache").rglob("*.arrow"))


def test_columns_of_other_names_and_kinds(tmp_path):
    table = pa.table(
        {
            "picture": [png(8, 9), b""],
            "formula": ["x", "y"],
            "id": ["a", "b"],
            "domain": ["hand", None],
            "level": [1, 2],
        }
    )
    pq.write_table(table, tmp_path / "train.parquet")
    sample = load_split(tmp_path, image_column="picture", text_column="formula")[0]
    assert (sample.id, sample.text, sample.domain, sample.extra) == ("a", "x", "hand", {"level": 1})
    assert sample.image.size == (8, 9)


def test_a_missing_column_is_named_with_those_there(tmp_path):
    write_splits(tmp_path, train=["x"])
    with pytest.raises(DataError, match=r"no column 'latex' for the text; it has image, text"):
        load_split(tmp_path, text_column="latex")


def test_a_text_column_that_is_none_is_rejected(tmp_path):
    pq.write_table(pa.table({"image": [b""], "text": [["a", "b"]]}), tmp_path / "train.parquet")
    with pytest.raises(DataError, match="not text; name another column"):
        load_split(tmp_path)


def test_images_by_path_lie_beside_the_file_and_not_outside(tmp_path):
    (tmp_path / "set" / "img").mkdir(parents=True)
    (tmp_path / "set" / "img" / "a.png").write_bytes(png(8, 9))
    (tmp_path / "b.png").write_bytes(png(8, 9))
    table = pa.table({"image": ["img/a.png", "../b.png", None], "text": ["x", "y", "z"]})
    pq.write_table(table, tmp_path / "set" / "train.parquet")
    rows = load_split(tmp_path / "set")
    assert rows[0].image.size == (8, 9)
    with pytest.raises(DataError, match=r"train.parquet row 1: image '../b.png' is outside .* set data.allow_outside"):
        rows[1].image.load()
    with pytest.raises(DataError, match=r"train.parquet row 2: no image"):
        rows[2].image.load()
    assert load_split(tmp_path / "set", allow_outside=True)[1].image.size == (8, 9)


def test_a_null_id_is_named_after_its_row_and_a_repeated_one_gets_its_number(tmp_path):
    write_parquet(tmp_path / "train.parquet", ["w", "x", "y", "z"], id=["a", "b", "a", None])
    assert load_split(tmp_path).ids() == ["a", "b", "a#2", "train-3"]


def test_a_text_that_is_no_utf8_is_a_rejected_row(tmp_path):
    texts = pa.StringArray.from_buffers(2, *pa.array([b"ok", b"a\xffb"], pa.binary()).buffers()[1:])
    pq.write_table(pa.table({"image": [png(), png()], "text": texts}), tmp_path / "train.parquet")
    rows = load_split(tmp_path)
    assert rows.texts() == ["ok"]
    assert "row 1: the text's byte 1 is 0xff, not UTF-8" in str(rows.rejected[0])


@pytest.mark.parametrize("keep", [0, 3, 500])
def test_a_truncated_file_is_named(tmp_path, keep):
    write_splits(tmp_path, train=["x"])
    file = tmp_path / "train-00000-of-00001.parquet"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"-of-00001.parquet: not a whole parquet file .*; download it again"):
        load_split(tmp_path)


def test_shards_that_differ_are_rejected(tmp_path):
    write_parquet(tmp_path / "train-00000-of-00002.parquet", ["a"], level=[1])
    write_parquet(tmp_path / "train-00001-of-00002.parquet", ["b"], level=["high"])
    with pytest.raises(DataError, match="its files differ in columns"):
        load_split(tmp_path)


def test_real_rows_of_latex_ocr(shared_data):
    rows = load_split(shared_data / "LaTeX_OCR", subset="small", split="test")
    assert len(rows) == 30
    assert rows[0].image.load().size == rows[0].image.size


@pytest.mark.parametrize(
    "error", [pa.ArrowMemoryError("malloc of size 9 failed"), OSError(errno.ENOMEM, "Cannot allocate memory")]
)
def test_too_little_memory_is_no_damaged_file(tmp_path, monkeypatch, error):
    path = tmp_path / "train.parquet"
    pq.write_table(pa.table({"image": [b""], "text": ["x"]}), path)

    def full(*_args, **_options):
        raise error

    monkeypatch.setattr(parquet.pq, "ParquetFile", full)
    with pytest.raises(MemoryError, match=r"malloc|allocate"):
        load_split(path)
