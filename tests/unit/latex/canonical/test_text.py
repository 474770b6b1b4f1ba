"""Words."""

from texlens.latex.canonical.form import canonical
from texlens.latex.canonical.picture_difference import difference
from texlens.latex.layout.formula import layout


def test_words_keep_their_spaces_when_they_stay_words():
    result = canonical(r"\text{don't know}")
    assert result.text == r"\text {don’t~know}"
    assert difference(layout(result.text), layout(r"\text{don't know}")) == "equal"
