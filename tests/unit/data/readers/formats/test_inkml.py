"""Ink in InkML: its drawing and its label."""

import pytest

from tests.unit.data.readers.formats.files import read
from texlens.core.errors import DataError
from texlens.data.load import load_split
from texlens.data.readers.formats.inkml import draw_strokes
from texlens.data.readers.registry import find_format

INKML = """<ink xmlns="http://www.w3.org/2003/InkML">
<annotation type="UI">2011_7</annotation><annotation type="truth">$x ^ 2$</annotation>
<trace id="0">0 0, 50 50</trace><trace id="1">50 0 3, 0 50 4</trace></ink>"""


def test_inkml_is_drawn_and_its_annotation_is_the_label(tmp_path):
    (tmp_path / "a.inkml").write_text(INKML)
    (tmp_path / "b.inkml").write_text("<ink></ink>")
    (tmp_path / "c.inkml").write_text('<!DOCTYPE x [<!ENTITY a "b">]><ink/>')
    (tmp_path / "d.inkml").write_text("<ink")
    assert find_format(tmp_path).name == "inkml"
    assert read(tmp_path) == [("a", "x ^ 2", None, (128, 128), {"ui": "2011_7"})]
    drawn = load_split(tmp_path)[0].image.load()
    assert max(drawn.getpixel((64, 64))) < 32
    assert drawn.getpixel((64, 20)) == (255, 255, 255)
    assert [rejected_row.reason.split(";")[0][:36] for rejected_row in load_split(tmp_path).rejected] == [
        "no annotation of type truth in it",
        "declares entities, which no InkML ne",
        "not XML (unclosed token: line 1, col",
    ]


def test_strokes_keep_their_shape_within_bounds():
    assert draw_strokes([[(0, 0), (10_000, 100)]]).size[0] <= 1536
    assert draw_strokes([[(5, 5)]]).size == (24, 24)
    with pytest.raises(DataError, match="no stroke"):
        draw_strokes([[]])
