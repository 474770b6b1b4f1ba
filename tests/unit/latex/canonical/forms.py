"""Inputs that several tests share."""

from texlens.latex.canonical.form import canonical


def form(formula):
    result = canonical(formula)
    assert result.problem is None
    return result.text
