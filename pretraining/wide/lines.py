r"""Labels of several lines: matrices of 2 to 6 rows and columns, cases, aligned and centered lines.

`several_lines(rng, fill)` writes one; `fill(rng, tokens)` writes what is in a cell or on a line. Matrices are
written as LaTeX_OCR writes them, `\left( \begin{array} { c c } { a } & { b } \\ … \end{array} \right)`.
"""

import random

from pretraining.wide.words import Fill, condition
from texlens.latex.generate.alphabet import LATIN, words

MOST_LINES, LARGEST_MATRIX = 5, 6
_FENCES = (("\\left(", "\\right)"), ("\\left(", "\\right)"), ("\\left[", "\\right]"), ("\\left[", "\\right]"),
           ("\\left|", "\\right|"), ("\\left\\|", "\\right\\|"), ("\\left\\{", "\\right\\}"), ("", ""))  # fmt: skip
_RELATIONS = words(r"= = = = = < > \leq \geq \equiv \approx \rightarrow \sim \in \subset")
_POWERS = ("T", "- 1", "n", "\\top")


def several_lines(rng: random.Random, fill: Fill) -> str:
    makers = (matrix_formula, cases_formula, aligned, gathered, left_lines)
    return rng.choices(makers, (46, 16, 22, 10, 6))[0](rng, fill)


def matrix_formula(rng: random.Random, fill: Fill) -> str:
    """A matrix alone or within an equation or product."""
    table = matrix(rng, fill, rng.randint(2, LARGEST_MATRIX), rng.choice((1, 2, 2, 2, 3, 3, 3, 4, 4, 5, 6)))
    roll = rng.random()
    if roll < 0.35:
        return table
    if roll < 0.55:
        return f"{fill(rng, rng.randint(1, 4))} = {table}"
    if roll < 0.65:
        return f"{table} ^ {{ {rng.choice(_POWERS)} }}"
    if roll < 0.8:
        return f"{table} {fill(rng, rng.randint(1, 5))}"
    rows = rng.randint(2, 4)
    return (
        f"{matrix(rng, fill, rows, rng.randint(1, 3))} {rng.choice(('=', '+', '-', ''))} {matrix(rng, fill, rows, 1)}"
    )


def matrix(rng: random.Random, fill: Fill, rows: int, columns: int) -> str:
    """Cells are digits, indexed letters or short pieces, all of one kind more often than not."""
    opening, closing = rng.choice(_FENCES)
    kind = rng.choice(("digits", "letters", "indexed", "pieces", "mixed"))
    letter = rng.choice(LATIN)
    dotted = rng.random() < 0.15 and rows > 2 and columns > 2
    lines = []
    for row in range(rows):
        cells = [_cell(rng, fill, kind, letter, row, column) for column in range(columns)]
        if dotted:
            cells = [_dotted(cell, row == rows - 2, column == columns - 2) for column, cell in enumerate(cells)]
        lines.append(" & ".join(f"{{ {cell} }}" for cell in cells) + " \\\\")
    align = rng.choice("ccccccccrl") if columns > 1 else "c"
    body = f"\\begin{{array}} {{ {' '.join(align * columns)} }} {' '.join(lines)} \\end{{array}}"
    return " ".join(part for part in (opening, body, closing) if part)


def _dotted(cell: str, in_row: bool, in_column: bool) -> str:
    if in_row and in_column:
        return "\\ddots"
    return "\\vdots" if in_row else "\\cdots" if in_column else cell


def _cell(rng: random.Random, fill: Fill, kind: str, letter: str, row: int, column: int) -> str:
    if kind == "mixed":
        kind = rng.choice(("digits", "letters", "indexed", "pieces"))
    if kind == "digits":
        sign = "- " if rng.random() < 0.2 else ""
        return sign + " ".join(rng.choice("0123456789") for _ in range(rng.choice((1, 1, 1, 1, 2))))
    if kind == "letters":
        return fill(rng, 1)
    if kind == "indexed":
        return f"{letter} _ {{ {row + 1} {column + 1} }}" if rng.random() < 0.9 else f"{letter} _ {{ {fill(rng, 1)} }}"
    return fill(rng, rng.choice((1, 1, 2, 3, 4, 6)))


def cases_formula(rng: random.Random, fill: Fill) -> str:
    lines = [
        f"{fill(rng, rng.randint(1, 8))} & {condition(rng, fill)}" for _ in range(rng.choice((2, 2, 2, 3, 3, 4, 5)))
    ]
    table = "\\begin{cases} " + " \\\\ ".join(lines) + " \\end{cases}"
    return f"{fill(rng, rng.randint(1, 5))} = {table}" if rng.random() < 0.8 else table


def aligned(rng: random.Random, fill: Fill) -> str:
    """Lines aligned at their relation; the left side is often written once."""
    once = rng.random() < 0.5
    lines = []
    for number in range(rng.randint(2, MOST_LINES)):
        left = fill(rng, rng.randint(1, 6)) + " " if number == 0 or not once else ""
        relation = rng.choice(_RELATIONS)
        lines.append(f"{left}& {relation} {fill(rng, rng.randint(2, 14))}")
    return "\\begin{aligned} " + " \\\\ ".join(lines) + " \\end{aligned}"


def gathered(rng: random.Random, fill: Fill) -> str:
    lines = [_line(rng, fill) for _ in range(rng.randint(2, MOST_LINES))]
    return "\\begin{gathered} " + " \\\\ ".join(lines) + " \\end{gathered}"


def left_lines(rng: random.Random, fill: Fill) -> str:
    lines = [f"{{ {_line(rng, fill)} }} \\\\" for _ in range(rng.randint(2, MOST_LINES))]
    return "\\begin{array} { l } " + " ".join(lines) + " \\end{array}"


def _line(rng: random.Random, fill: Fill) -> str:
    return f"{fill(rng, rng.randint(1, 6))} {rng.choice(_RELATIONS)} {fill(rng, rng.randint(1, 10))}"
