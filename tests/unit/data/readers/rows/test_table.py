"""Tables: bad cells and columns."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit.data.pictures import png
from texlens.core.errors import DataError
from texlens.data.load import load_split


def test_deep_json_in_a_cell_rejects_its_row(tmp_path):
    deep = "[" * 5_000 + "]" * 5_000
    (tmp_path / "train.csv").write_text(f'image,text,extra\na.png,x,"{deep}"\na.png,y,\n')
    rows = load_split(tmp_path / "train.csv")
    assert (rows.texts(), rows.rejected[0].reason.split(";")[0]) == (["y"], "JSON nested too deeply in a cell")


def test_two_columns_of_one_name_are_one_clear_line(tmp_path):
    (tmp_path / "train.csv").write_text("image,text,text\na.png,FIRST,SECOND\n")
    with pytest.raises(DataError, match="2 columns named 'text'; rename or remove all but one"):
        load_split(tmp_path / "train.csv")


def test_parquet_with_latex_texts_and_nan_is_read(tmp_path):
    pq.write_table(pa.table({"image": [png()], "latex": ["x"]}), tmp_path / "train.parquet")
    assert load_split(tmp_path).texts() == ["x"]
    pq.write_table(pa.table({"image": [png()] * 3, "text": [1.0, float("nan"), 2.5]}), tmp_path / "train.parquet")
    rows = load_split(tmp_path)
    assert (rows.texts(), rows.rejected[0].reason) == (["1.0", "2.5"], "the text is NaN or Inf; fill it in")


@pytest.mark.parametrize("images", [[1, 2], [[1], [2]]])
def test_a_parquet_column_without_images_is_one_clear_line(tmp_path, images):
    pq.write_table(pa.table({"image": images, "text": ["x", "y"]}), tmp_path / "train.parquet")
    with pytest.raises(DataError, match=r"column 'image' holds .*, not images; name another with --image-column"):
        load_split(tmp_path)
