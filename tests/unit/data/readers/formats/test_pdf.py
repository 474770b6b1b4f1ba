import pytest

from tests.unit.data.test_pdf_regions import write_paper
from texlens.core.errors import DataError
from texlens.data.load import load_split
from texlens.data.readers.registry import list_splits

REGIONS = '{"page": 1, "box": [0, 0, 0.5, 0.5], "text": "x ^ 2"}\n{"page": 1}\n{"page": 9, "text": "y"}\n'


@pytest.mark.parametrize("as_folder", [False, True])
def test_a_mark_with_a_text_is_a_row(tmp_path, as_folder):
    paper = write_paper(tmp_path / "paper.pdf")
    (tmp_path / "paper.jsonl").write_text(REGIONS)
    rows = load_split(str(tmp_path if as_folder else paper))
    assert [(row.id, row.text, row.extra) for row in rows] == [
        ("paper.pdf#page=1&box=0,0,0.5,0.5", "x ^ 2", {"page": 1})
    ]
    assert rows[0].image.load().convert("L").resize((1, 1)).getpixel((0, 0)) < 40
    assert [row.reason.split(";")[0].partition(": ")[2] or row.reason.split(";")[0] for row in rows.rejected] == [
        "no text",
        "no page 9, it has 1",
    ]


def test_a_pdf_without_marks_is_refused_with_the_form_of_a_mark(tmp_path):
    paper = write_paper(tmp_path / "paper.pdf")
    with pytest.raises(DataError, match=r"no paper\.jsonl beside it, which names the parts to take"):
        list_splits(str(paper))
