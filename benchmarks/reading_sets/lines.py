r"""200 formulas of 2 to 5 lines and matrices of 2 to 6 rows and columns, from textbook patterns with other numbers."""

import random

_NAMES = "xyzuvw"
_LETTERS = "abcdfghkmnpqrst"


def lines_label(rng: random.Random) -> str:
    """A linear system, steps of a calculation, a piecewise function, a matrix equation, a list of definitions."""
    return rng.choice((_system, _steps, _piecewise, _matrix, _matrix, _product, _definitions))(rng)


def _number(rng: random.Random, most: int = 99) -> str:
    return " ".join(str(rng.randint(1, most)))


def _term(rng: random.Random) -> str:
    letter = rng.choice(_LETTERS)
    return rng.choice(
        (letter, f"{letter} ^ {{ 2 }}", f"{letter} _ {{ {rng.randint(0, 3)} }}", f"{_number(rng, 9)} {letter}")
    )


def _sum(rng: random.Random, most: int = 3) -> str:
    text = _term(rng)
    for _ in range(rng.randint(0, most - 1)):
        text += f" {rng.choice('+-')} {_term(rng)}"
    return text


def _system(rng: random.Random) -> str:
    names = _NAMES[: rng.randint(2, 3)]
    lines = []
    for _ in range(rng.randint(2, 4)):
        left = " + ".join(f"{_number(rng, 9)} {name}" for name in names)
        lines.append(f"{left} & = {_number(rng)}")
    return "\\begin{aligned} " + " \\\\ ".join(lines) + " \\end{aligned}"


def _steps(rng: random.Random) -> str:
    lines = [f"{_term(rng)} & = {_sum(rng)}"]
    lines += [f"& = {_sum(rng)}" for _ in range(rng.randint(1, 4))]
    return "\\begin{aligned} " + " \\\\ ".join(lines) + " \\end{aligned}"


def _piecewise(rng: random.Random) -> str:
    name = rng.choice(_NAMES)
    lines = [
        f"{_sum(rng, 2)} & {name} {rng.choice(('<', '>', '=', chr(92) + 'leq'))} {_number(rng, 9)}"
        for _ in range(rng.randint(2, 4))
    ]
    return f"{rng.choice('fghF')} ( {name} ) = \\begin{{cases}} " + " \\\\ ".join(lines) + " \\end{cases}"


def _grid(rng: random.Random, rows: int, columns: int, kind: str) -> str:
    letter = rng.choice(_LETTERS)

    def cell(row: int, column: int) -> str:
        if kind == "numbers":
            return rng.choice(("", "- ")) + _number(rng, 19) if rng.random() < 0.8 else "0"
        return f"{letter} _ {{ {row + 1} {column + 1} }}" if kind == "indexed" else _term(rng)

    body = " \\\\ ".join(" & ".join(cell(row, column) for column in range(columns)) for row in range(rows))
    name = rng.choice(("pmatrix", "pmatrix", "bmatrix", "bmatrix", "vmatrix"))
    return f"\\begin{{{name}}} {body} \\end{{{name}}}"


def _matrix(rng: random.Random) -> str:
    kind = rng.choice(("numbers", "indexed", "terms"))
    table = _grid(rng, rng.randint(2, 6), rng.randint(2, 6), kind)
    return table if rng.random() < 0.5 else f"{rng.choice('ABCM')} = {table}"


def _product(rng: random.Random) -> str:
    rows = rng.randint(2, 4)
    square, column, result = (_grid(rng, rows, columns, "numbers") for columns in (rows, 1, 1))
    return f"{square} {column} = {result}"


def _definitions(rng: random.Random) -> str:
    lines = [f"{rng.choice(_LETTERS)} = {_sum(rng)}" for _ in range(rng.randint(2, 5))]
    return "\\begin{gathered} " + " \\\\ ".join(lines) + " \\end{gathered}"
