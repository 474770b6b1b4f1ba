"""CROHME's rows in one state: what train and test draw differently looks alike afterwards."""

import io
import sys
from pathlib import Path

import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
from PIL import Image, ImageOps

from texlens.inputs.image_preparation import glyph_height
from texlens.latex.render.formats import render_png

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

from crohme import HANDWRITING, prepare_rows, prepared


def drawn(px_per_em: float, *, is_inverted: bool) -> bytes:
    image = Image.open(io.BytesIO(render_png("x ^ { 2 } + a b", pixels_per_em=px_per_em))).convert("L")
    file = io.BytesIO()
    (ImageOps.invert(image) if is_inverted else image).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(("px_per_em", "is_inverted"), [(90, False), (70, True)])
def test_rows_become_dark_on_white_with_glyphs_of_one_height(px_per_em, is_inverted):
    gray = np.asarray(Image.open(io.BytesIO(prepared(drawn(px_per_em, is_inverted=is_inverted)))))
    assert np.median(gray) > 240
    assert glyph_height(gray < 128) == pytest.approx(HANDWRITING.usual_glyph_px, rel=0.15)


def test_both_splits_are_written_with_their_labels(tmp_path):
    for split in ("train", "test2014"):
        row = {"image": {"bytes": drawn(60, is_inverted=split != "train"), "path": None}, "text": f"x in {split}"}
        parquet.write_table(arrow.Table.from_pylist([row, row, row]), tmp_path / f"{split}-00000-of-00001.parquet")
    assert prepare_rows(tmp_path, tmp_path / "out", 2, processes=1) == {"train": 2, "test2014": 2}
    rows = parquet.read_table(tmp_path / "out/test2014-00000-of-00001.parquet").to_pylist()
    assert [row["text"] for row in rows] == ["x in test2014"] * 2
