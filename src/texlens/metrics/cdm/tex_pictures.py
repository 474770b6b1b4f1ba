"""CDM's pictures with TeX as the renderer: names and structure from our own tree, boxes from TeX's output.

Our layout and the TeX code come from one tree and list its nodes in one order, so each piece of TeX's ink is mapped to
its token. Where the tokens differ, or TeX can't set a formula, our own picture is used.
"""

from collections.abc import Collection, Sequence

from texlens.core.errors import LatexError
from texlens.latex.layout.boxes import glyph_box
from texlens.latex.parse.nodes import Matrix, Operator, Symbol, Text
from texlens.latex.parse.parser import parse
from texlens.latex.tex.dvi import DviGlyph, DviItem, DviRule, DviSpecial
from texlens.latex.tex.layout import placed_glyph, placed_rule
from texlens.latex.tex.run import typeset
from texlens.latex.tex.source import Marked, marked_source
from texlens.metrics.cdm.ink_groups import Extent, Fence, Group, ink_groups
from texlens.metrics.cdm.visible_tokens import DOTS, Picture, look, names, pictured, tokens_of, united

_TOUCHING_EM = 0.06


def tex_pictures(formulas: Collection[str]) -> tuple[dict[str, Picture], dict[str, str]]:
    """Pictures of the formulas that TeX can draw, and the reason for each other one; many formulas to a run of TeX.

    Raises:
        LatexError: TeX Live is not installed.
    """
    printed: dict[str, tuple[str, list[Marked]]] = {}
    reasons: dict[str, str] = {}
    for formula in dict.fromkeys(formulas):
        try:
            printed[formula] = marked_source(parse(formula))
        except LatexError as error:
            reasons[formula] = str(error)
    pictures: dict[str, Picture] = {}
    pages = typeset([code for code, _ in printed.values()])
    for (formula, (_, marked_nodes)), page in zip(printed.items(), pages, strict=True):
        try:
            if isinstance(page, str):
                raise LatexError(page)
            groups = drawn_groups(ink_groups(formula), marked_nodes, page)
            pictures[formula] = pictured(tokens_of(groups, names, look))
        except LatexError as error:
            reasons[formula] = str(error)
    return pictures, reasons


def drawn_groups(groups: Sequence[Group], marked_nodes: Sequence[Marked], page: Sequence[DviItem]) -> Sequence[Group]:
    """The groups of our own layout with TeX's extents.

    Raises:
        LatexError: TeX does not show the same tokens.
    """
    inks = [
        (mark, extents) for mark, extents in zip(marked_nodes, _extents(marked_nodes, page), strict=True) if extents
    ]
    inked = [group for group in groups if group.extents]
    if len(inks) != len(inked) or not all(_fits(mark, group) for (mark, _), group in zip(inks, inked, strict=True)):
        raise LatexError("TeX and our own layout don't show the same tokens")
    for (_, extents), group in zip(inks, inked, strict=True):
        if len(extents) == len(group.extents):
            group.extents = extents
        elif _is_split(group):
            raise LatexError("TeX and our own layout don't show the same letters")
        else:
            group.extents = [united(extents)] * len(group.extents)
    return groups


def _fits(mark: Marked, group: Group) -> bool:
    return isinstance(group.node, Fence) if mark.fence else type(mark.node) is type(group.node)


def _is_split(group: Group) -> bool:
    """Whether a group's ink is several tokens."""
    node = group.node
    return isinstance(node, Text | Operator | Matrix) or (isinstance(node, Symbol) and node.character in DOTS)


def _extents(marked_nodes: Sequence[Marked], page: Sequence[DviItem]) -> list[list[Extent]]:
    """The ink of each mark: what is between its specials, without the ink of the marks within."""
    glyphs: list[dict[int, list[Extent]]] = [{} for _ in marked_nodes]
    rules: list[list[Extent]] = [[] for _ in marked_nodes]
    parts = [0] * len(marked_nodes)
    stack: list[int] = []
    start = next(mark for mark in page if isinstance(mark, DviSpecial) and mark.text == "texlens:<")
    for mark in page:
        if isinstance(mark, DviSpecial):
            _follow(mark.text, stack, parts)
        elif not stack:
            raise LatexError("TeX drew what belongs to no token")
        elif isinstance(mark, DviGlyph):
            glyphs[stack[-1]].setdefault(parts[stack[-1]], []).append(glyph_box(placed_glyph(mark, start)))
        elif isinstance(mark, DviRule):
            x, y, width, height, _ = placed_rule(mark, start)
            rules[stack[-1]].append((x, y, x + width, y + height))
    rules = [
        _joined(node_rules) if isinstance(mark.node, Matrix) else node_rules
        for mark, node_rules in zip(marked_nodes, rules, strict=True)
    ]
    return _with_fences(marked_nodes, glyphs, rules)


def _joined(rules: list[Extent]) -> list[Extent]:
    """A table's vertical rules, which TeX draws row by row, joined into one rule each, after the horizontal ones."""
    upright = sorted(rule for rule in rules if rule[3] - rule[1] > rule[2] - rule[0])
    out: list[Extent] = []
    for rule in upright:
        last = out[-1] if out else None
        if last and abs(last[0] - rule[0]) < _TOUCHING_EM and rule[1] - last[3] < _TOUCHING_EM:
            out[-1] = united([last, rule])
        else:
            out.append(rule)
    return [*(rule for rule in rules if rule not in upright), *out]


def _follow(special: str, stack: list[int], parts: list[int]) -> None:
    text = special.removeprefix("texlens:")
    if text == special:
        return
    if text.isdecimal():
        stack.append(int(text))
    elif text == "" and stack:
        stack.pop()
    elif text == "/" and stack:
        parts[stack[-1]] += 1


def _with_fences(
    marked_nodes: Sequence[Marked], glyphs: Sequence[dict[int, list[Extent]]], rules: Sequence[list[Extent]]
) -> list[list[Extent]]:
    """Delimiters take the glyphs of the node that they belong to, part by part."""
    fences: dict[int, list[int]] = {}
    for number, mark in enumerate(marked_nodes):
        if mark.fence and mark.owner is not None:
            fences.setdefault(mark.owner, []).append(number)
    extents = [
        [*(extent for part in parts.values() for extent in part), *node_rules]
        for parts, node_rules in zip(glyphs, rules, strict=True)
    ]
    for owner, numbers in fences.items():
        parts = glyphs[owner]
        if len(parts) != len(numbers):
            raise LatexError("TeX and our own layout don't show the same delimiters")
        extents[owner] = rules[owner]
        for number, part in zip(numbers, sorted(parts), strict=True):
            extents[number] = parts[part]
    return extents
