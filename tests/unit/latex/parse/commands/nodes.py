"""Nodes of a parsed formula."""

from texlens.latex.parse.parser import parse


def node(formula):
    (only,) = parse(formula).items
    return only
