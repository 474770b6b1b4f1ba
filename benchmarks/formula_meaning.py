r"""Compares what TexLens draws with KaTeX and MathJax: which formulas are accepted, and whether the trees agree.

    npm install katex mathjax-full          # in a folder of your own, NODE_MODULES
    python benchmarks/formula_meaning.py FOLDER --node-modules NODE_MODULES [--limit N] [--write benchmarks/results]

Sub-folders of FOLDER are sets: parquet files with a `text` column and `.txt.gz` files of one formula a line. Printed
are, for each set and engine, the formulas accepted by both, by one and by none, those whose trees are equal (see
`mathml_trees`: letters with their fonts, fractions, roots, scripts, limits, tables), and every kind of difference with
its count (see `formula_differences`); what no kind explains is `unexplained`, with the formula. Of our side: how many
of the formulas that draw have MathML, whether the drawing has the letters, fractions and roots of the tree, and
whether the canonical form is its own form and draws alike. Formulas on which the engines agree with each other and not
with us are counted too.
"""

import argparse
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from canonical_pictures import ROW_GAP, compare, sets
from formula_differences import KINDS, first_difference, kind_of
from formula_engines import SCRIPTS, converted, version_of
from mathml_trees import Tree, counts, leaves, tree_of
from result import write_result

from texlens.core.errors import LatexError
from texlens.latex.canonical.picture_difference import ALIKE
from texlens.latex.layout.formula import layout
from texlens.latex.mathml import to_mathml

_BARS = frozenset(
    ["\\frac", "\\dfrac", "\\tfrac", "\\cfrac", "\\over", "\\above", "\\genfrac", "\\nicefrac", "\\sfrac"]
)
_HIDDEN = re.compile(r"\\[hv]?phantom")


@dataclass
class OurSide:
    """What TexLens makes of a set: the tree of each formula, and counts of its own checks."""

    trees: list[Tree | None] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    checks: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def our_side(formulas: Sequence[str]) -> OurSide:
    side = OurSide()
    for formula in formulas:
        try:
            drawing = layout(formula, system_fonts=False)
        except LatexError as error:
            side.trees.append(None)
            side.refusals.append(_kind_of_refusal(str(error)))
            continue
        side.refusals.append("")
        side.checks["drawn"] += 1
        mathml, problem = to_mathml(formula)
        tree = None if mathml is None else tree_of(mathml)
        side.trees.append(tree)
        side.checks["with MathML"] += tree is not None
        form = compare(formula)
        side.checks["canonical form drawn alike"] += form in (*ALIKE, "array's half em", ROW_GAP)
        side.checks["canonical form not its own form"] += form == "not idempotent"
        if tree is None:
            side.faults.append(f"{problem}: {formula}")
        elif not _HIDDEN.search(formula):
            is_alike = _letters_drawn(drawing) == _letters_of(tree)
            bars = sum(rule.source in _BARS for rule in drawing.rules)
            side.checks["drawing compared with the tree"] += 1
            side.checks["drawing has the tree's letters and fractions"] += is_alike and bars == counts(tree)["frac"]
            if not (is_alike and bars == counts(tree)["frac"]):
                side.faults.append(f"drawing and tree differ: {formula}")
    return side


def _letters_drawn(drawing) -> Counter[str]:
    return _alphanumeric("".join(glyph.character for glyph in drawing.glyphs))


def _letters_of(tree: Tree) -> Counter[str]:
    return _alphanumeric("".join(leaf.character for leaf in leaves(tree)))


def _alphanumeric(text: str) -> Counter[str]:
    plain = unicodedata.normalize("NFKD", text.replace("𝚤", "i").replace("𝚥", "j").replace("ı", "i").replace("ȷ", "j"))
    return Counter(c for c in plain if c.isascii() and c.isalnum())


def _kind_of_refusal(message: str) -> str:
    return re.sub(r", at character \d+$", "", re.sub(r"\d+", "N", message))[:70]


def against(engine: str, formulas: Sequence[str], side: OurSide, theirs: Sequence[Tree | str]) -> dict:
    """Counts of one set and engine; `theirs` are trees, or messages where a formula is refused."""
    accepted: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    refused: dict[str, Counter[str]] = {"by us alone": Counter(), f"by {engine} alone": Counter()}
    for formula, mine, message, other in zip(formulas, side.trees, side.refusals, theirs, strict=True):
        is_theirs = not isinstance(other, str)
        ours_or = "both" if mine is not None and is_theirs else "ours" if mine is not None else "theirs"
        accepted[ours_or if mine is not None or is_theirs else "none"] += 1
        if mine is None and is_theirs:
            refused["by us alone"][message] += 1
        elif mine is not None and isinstance(other, str):
            refused[f"by {engine} alone"][
                _kind_of_refusal(re.split(r" at position", other.removeprefix("KaTeX parse error: "))[0])
            ] += 1
        elif mine is not None and not isinstance(other, str) and mine != other:
            kind = kind_of(formula, mine, other, engine) or "unexplained"
            kinds[kind] += 1
            if kind == "unexplained":
                print(f"  unexplained: {first_difference(mine, other)}: {formula}")
    both = accepted["both"]
    equal = both - sum(kinds.values())
    return {
        "accepted": dict(accepted),
        "trees_equal": equal,
        "trees_equal_percent": round(100 * equal / max(both, 1), 2),
        "differences": dict(kinds.most_common()),
        "refused": {name: dict(counter.most_common(20)) for name, counter in refused.items()},
    }


def engine_trees(engine: str, formulas: list[str], node_modules: Path) -> list[Tree | str]:
    return [
        tree_of(mathml) if mathml is not None else (problem or "refused")
        for mathml, problem in converted(formulas, engine, node_modules)
    ]


def outvoted(formulas: Sequence[str], mine: Sequence[Tree | None], engines: dict[str, list[Tree | str]]) -> dict:
    """Formulas that all accept, where the engines have one tree and we another, by kind."""
    (name, first), *others = engines.items()
    kinds: Counter[str] = Counter()
    for i, (formula, tree, their_tree) in enumerate(zip(formulas, mine, first, strict=True)):
        is_alone = tree is not None and not isinstance(their_tree, str) and tree != their_tree
        if is_alone and all(other[i] == their_tree for _, other in others):
            kind = kind_of(formula, tree, their_tree, name) or "unexplained"
            kinds[kind] += 1
    return dict(kinds.most_common())


def examples_that_agree(node_modules: Path) -> Iterator[str]:
    """Kinds whose example no longer differs as the kind says."""
    for engine in SCRIPTS:
        kinds = [kind for kind in KINDS if engine in kind.engines]
        for kind, other in zip(kinds, engine_trees(engine, [k.example for k in kinds], node_modules), strict=True):
            mine = to_mathml(kind.example)[0]
            if (
                mine is None
                or isinstance(other, str)
                or kind_of(kind.example, tree_of(mine), other, engine) != kind.name
            ):
                yield f"{engine}: {kind.name}: {kind.example}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--node-modules", type=Path, required=True)
    parser.add_argument("--engines", nargs="+", choices=list(SCRIPTS), default=list(SCRIPTS))
    parser.add_argument("--limit", type=int, default=1000, help="formulas of a set (default 1,000)")
    parser.add_argument("--sets", nargs="+", help="names of sub-folders; all where left out")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    for line in examples_that_agree(options.node_modules):
        print(f"not shown by its example: {line}")
    figures: dict = {}
    for name, formulas in sets(options.folder, options.limit).items():
        if options.sets and not any(pattern in name for pattern in options.sets):
            continue
        side = our_side(formulas)
        trees = {engine: engine_trees(engine, formulas, options.node_modules) for engine in options.engines}
        figures[name] = {"formulas": len(formulas), "ours": dict(side.checks)}
        figures[name] |= {engine: against(engine, formulas, side, theirs) for engine, theirs in trees.items()}
        if len(trees) > 1:
            figures[name]["engines agree, we differ"] = outvoted(formulas, side.trees, trees)
        _report(name, figures[name], side.faults)
    if options.write:
        versions = {engine: version_of(engine, options.node_modules) for engine in options.engines}
        kinds = {kind.name: {"reason": kind.reason, "example": kind.example} for kind in KINDS}
        command = f"python benchmarks/formula_meaning.py DATA --node-modules NODE_MODULES --limit {options.limit}"
        result = {"engines": versions, "sets": figures, "kinds": kinds}
        write_result(options.write, "formula meaning", command, ("texlens", "fonttools"), result)


def _report(name: str, figures: dict, faults: Sequence[str]) -> None:
    print(f"{name}: {figures['formulas']} formulas, {figures['ours']}")
    for line in faults[:20]:
        print(f"  {line}")
    for engine in SCRIPTS:
        if engine in figures:
            print(f"  {engine}: {figures[engine]['accepted']}, equal {figures[engine]['trees_equal_percent']}%")
            for kind, count in figures[engine]["differences"].items():
                print(f"    {count} {kind}")
            for side, kinds in figures[engine]["refused"].items():
                print(f"    refused {side}: {kinds}")
    print(f"  engines agree, we differ: {figures.get('engines agree, we differ')}")


if __name__ == "__main__":
    main()
