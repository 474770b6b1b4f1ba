"""Differences between drawings."""

from texlens.latex.canonical.form import canonical
from texlens.latex.canonical.same_picture import is_same_picture


def test_what_canonical_form_keeps_apart_may_still_look_alike():
    assert canonical(r"\hat a").text != canonical(r"\widehat a").text
    assert is_same_picture(r"\hat a", r"\widehat a")
