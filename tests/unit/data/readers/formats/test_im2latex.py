"""The lists of im2latex-100k."""

from tests.unit.data.readers.formats.files import image, read
from texlens.data.load import load_split
from texlens.data.readers.registry import list_splits


def test_im2latex_lists_in_both_spellings(tmp_path):
    image(tmp_path / "formula_images/a1.png")
    (tmp_path / "im2latex_formulas.lst").write_bytes(b"x\ry\n\\alpha\n\xe9\n")
    (tmp_path / "im2latex_train.lst").write_text("1 a1 basic\n0 a1 basic\n2 a1 basic\n9 a1 basic\n")
    (tmp_path / "im2latex_validate.lst").write_text("a1.png 1\n")
    assert list_splits(str(tmp_path)) == ["train", "validation"]
    assert [row[1] for row in read(tmp_path)] == ["\\alpha", "x\ry"]
    assert read(tmp_path, "validation")[0][:2] == ("a1", "\\alpha")
    reasons = [rejected_row.reason for rejected_row in load_split(tmp_path).rejected]
    assert reasons[0].endswith("formulas.lst line 3: byte 1 is 0xe9, not UTF-8; save the file as UTF-8")
    assert reasons[1] == "formula 9 is not there: im2latex_formulas.lst has 4 lines; download it again"
