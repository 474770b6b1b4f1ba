import pytest

from texlens.board.comparing.pictures import RowImages, drawings
from texlens.config.load import load_saved_config
from texlens.core.errors import DataError
from texlens.core.run_folder import RunFolder
from texlens.inputs.build import read_split


def test_both_formulas_are_drawn_with_what_differs_colored():
    drawn = drawings("x ^ { 2 }", "x ^ { 3 }")
    assert drawn["problem"] is None
    assert "#" in drawn["text"]
    assert drawn["text"] != drawings("x ^ { 3 }", "x ^ { 3 }")["text"]


def test_what_can_not_be_drawn_says_why():
    drawn = drawings("x", "\\frac { <script>")
    assert drawn["reference"].startswith("<svg")
    assert drawn["text"] is None
    assert drawn["problem"]
    assert drawings("x", "")["problem"] == "empty"
    assert "tokens" in drawings("x", "y " * 1000)["problem"]


def test_an_image_is_looked_up_by_the_id_of_its_row(tmp_path):
    (tmp_path / "config.yaml").write_text("model: {path: nano}\ndata: {path: demo}\n")
    run, images = RunFolder(tmp_path), RowImages()
    row = read_split(load_saved_config(run.config).data, "test")[3]
    assert images.image(run, "test", row.id).startswith("data:image/")
    with pytest.raises(DataError, match="not in split test any more"):
        images.image(run, "test", "../../etc/passwd")
