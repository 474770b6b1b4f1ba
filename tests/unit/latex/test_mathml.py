from texlens.latex.mathml import to_mathml


def test_a_formula_becomes_mathml():
    made, problem = to_mathml(r"\operatorname { s i n } x ^ { 2 } \dag")

    assert problem is None
    assert made.startswith("<math")
    assert "<mi>sin</mi>" in made or "<mo>sin</mo>" in made
    assert "\\" not in made


def test_what_cannot_be_turned_has_a_reason():
    assert to_mathml(r"\frac { a }")[0] is None
    assert "can be drawn" in to_mathml(r"\foo")[1]
