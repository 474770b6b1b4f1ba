"""SVG."""

import xml.etree.ElementTree as ElementTree

from texlens.latex.layout.formula import layout
from texlens.latex.render.formats import render_svg
from texlens.latex.render.svg import to_svg


def test_svg_defines_each_outline_once():
    root = ElementTree.fromstring(to_svg(layout("xx+x"), color="#123"))
    space = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{space}defs/{space}path")) == 2
    assert len(root.findall(f"{space}use")) == 4
    assert root.get("fill") == "#123"


def test_svg_is_safe_against_its_formula():
    ElementTree.fromstring(render_svg(r'\text{<script>\&"}'))
