"""Nodes of a parsed formula."""

from texlens.latex.parse.parser import parse


def only(formula):
    (node,) = parse(formula).items
    return node


def symbols(node):
    return [item.source for item in node.items]
