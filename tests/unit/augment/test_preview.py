from tests.unit.data.pictures import encoded
from tests.unit.data.tables import write_parquet
from texlens.augment import FormulaTransform
from texlens.augment.preview import EPOCHS, augment_section
from texlens.data.load import load_split
from texlens.latex.layout.formula import layout
from texlens.latex.render.raster import draw


def test_each_row_is_shown_as_it_is_and_as_epochs_would_see_it(tmp_path):
    images = [encoded(draw(layout("x + y"), 20, padding=6)), b"damaged"]
    rows = load_split(write_parquet(tmp_path / "train.parquet", ["x + y", "z"], images))

    section = augment_section({"train": rows}, FormulaTransform())

    good, damaged = section.rows
    assert [caption for caption, _ in good.pictures] == ["as it is", *(f"epoch {n + 1}" for n in range(EPOCHS))]
    assert len({image.read() for _, image in good.pictures}) > 1
    assert {image.size for _, image in good.pictures} == {good.pictures[0][1].size}
    assert "not a readable image" in damaged.note
