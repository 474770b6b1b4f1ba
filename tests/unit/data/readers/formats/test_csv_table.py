"""CSV tables: quoted cells, other column names, bad lines."""

import pytest

from tests.unit.data.readers.formats.files import image, read
from texlens.core.errors import DataError
from texlens.data.load import load_split
from texlens.data.readers.registry import find_format


def test_a_csv_with_quoted_cells_and_other_columns(tmp_path):
    image(tmp_path / "a.png")
    (tmp_path / "rows.csv").write_text('image_path,text,level\na.png,"x, ""y""\nz",easy\na.png,w,\n', newline="")
    assert find_format(tmp_path).name == "csv"
    assert read(tmp_path / "rows.csv") == [
        ("train-0", 'x, "y"\nz', None, (40, 20), {"level": "easy"}),
        ("train-1", "w", None, (40, 20), {}),
    ]
    assert load_split(tmp_path / "rows.csv")[1].image.where == f"{tmp_path}/rows.csv line 4 (a.png)"


def test_a_csv_without_the_column_names_those_that_are_near(tmp_path):
    (tmp_path / "rows.csv").write_text("image,latex_code,nr\na.png,x,1\n")
    with pytest.raises(DataError, match=r"no column 'text' .* did you mean latex_code\? it has image, latex_code, nr;"):
        load_split(tmp_path / "rows.csv")
    with pytest.raises(DataError, match=r"no column 'code' .*data convert --text-column"):
        load_split(tmp_path / "rows.csv", text_column="code")
    image(tmp_path / "a.png")
    assert read(tmp_path / "rows.csv", text_column="latex_code")[0][1] == "x"


def test_bad_lines_of_a_csv_are_named_and_the_rest_goes_on(tmp_path):
    image(tmp_path / "a.png")
    (tmp_path / "rows.csv").write_bytes(b"image,text\na.png,\xe9\na.png,x,y\n,z\n../b.png,w\na.png,v\n")
    rows = load_split(tmp_path / "rows.csv")
    assert rows.texts() == ["v"]
    assert [str(rejected_row).removeprefix(f"{tmp_path}/rows.csv ")[:40] for rejected_row in rows.rejected] == [
        "line 2: byte 7 of line 2 is 0xe9, not UT",
        "line 3: 3 cells for 2 columns; put texts",
        "line 4: no column 'image' for the image;",
        f"line 5: image '../b.png' is outside {tmp_path}"[:40],
    ]
