"""The tree that a formula parses to. Every node keeps the token it came from, so that the tree can be printed again."""

from dataclasses import dataclass

node = dataclass(frozen=True, slots=True)


class Node:
    """Any of the nodes below."""

    __slots__ = ()


@node
class Row(Node):
    """Nodes side by side; `braced` where the source had braces, which make one ordinary atom of it."""

    items: tuple[Node, ...]
    braced: bool = False


@node
class Symbol(Node):
    """One character with its atom class (ord, op, bin, rel, open, close, punct, inner)."""

    source: str
    character: str
    atom: str


@node
class Scripts(Node):
    r"""Subscript and superscript; primes come first in the superscript. `limits`: `\limits` or `\nolimits`."""

    base: Node | None
    sub: Node | None
    sup: Node | None
    limits: str | None = None


@node
class Fraction(Node):
    r"""`\frac`, `\over`, `\binom` and kin. `style`, where given, is forced (0 display, 2 text, 4, 6)."""

    source: str
    numerator: Node
    denominator: Node
    has_rule: bool = True
    left: str | None = None
    right: str | None = None
    style: int | None = None
    thickness_em: float | None = None
    """Of the rule, where the source gives one."""


@node
class Radical(Node):
    source: str
    body: Node
    degree: Node | None = None


@node
class Delimited(Node):
    r"""`\left … \right`; the delimiters are tokens, `.` the empty one. the body may hold `Middle` nodes."""

    left: str
    right: str
    body: Row


@node
class Middle(Node):
    delimiter: str


@node
class Big(Node):
    r"""`\big(` and kin."""

    source: str
    delimiter: str


@node
class Accent(Node):
    source: str
    body: Node
    character: str
    is_wide: bool = False


@node
class Stretch(Node):
    """A rule, brace or arrow as wide as the body, over or under it; `character` is empty for a rule."""

    source: str
    body: Node
    character: str
    over: bool


@node
class Stack(Node):
    r"""`\overset`, `\underset`, `\stackrel`: small material over and under a base."""

    source: str
    base: Node
    over: Node | None = None
    under: Node | None = None


@node
class Arrow(Node):
    r"""`\xrightarrow[under]{over}` and kin."""

    source: str
    character: str
    over: Node
    under: Node | None = None


@node
class Matrix(Node):
    r"""Rows of cells. `columns` holds `l`, `c`, `r`, `|`, `:` (dashed), and `@` or `!` for each of the `inserts`.

    `lines` lists the rows with a rule before them, dashed ones as `-1 - row`; a row is listed once per rule.
    `partial_lines` are (row, first column, last column) of each `\cline`, columns from 0. `position` is `t` or `b`
    where the first or last row is on the baseline. `gaps` are (row, extra em below it) of
    each `\\[2pt]`. `implied` where the source had `&` or `\\` without an environment.
    """

    environment: str
    rows: tuple[tuple[Node, ...], ...]
    columns: str = ""
    lines: tuple[int, ...] = ()
    implied: bool = False
    inserts: tuple[Node, ...] = ()
    partial_lines: tuple[tuple[int, int, int], ...] = ()
    position: str = ""
    gaps: tuple[tuple[int, float], ...] = ()


@node
class Intertext(Node):
    r"""`\intertext`: words between two lines of an alignment, a row of their own."""

    source: str
    body: "Text"


@node
class Multicolumn(Node):
    span: int
    columns: str
    body: Node


@node
class Text(Node):
    """Words: strings and nodes between them."""

    source: str
    parts: tuple["str | Node", ...]
    alphabet: str


@node
class Space(Node):
    source: str
    width_em: float


@node
class StyleChange(Node):
    r"""`\displaystyle` and kin: in force to the end of the row."""

    source: str
    style: int


@node
class FontSwitch(Node):
    r"""`\bf`, `\cal` and kin: in force to the end of the row."""

    source: str
    alphabet: str


@node
class FontChange(Node):
    r"""`\mathbf{…}` and kin."""

    source: str
    alphabet: str
    body: Node


@node
class Operator(Node):
    r"""A function name (`\sin`), or a body made an operator (`\mathop`, `\operatorname`); `limits`: as `\lim`."""

    source: str
    name: str
    limits: bool
    body: Node | None = None


@node
class Classed(Node):
    r"""`\mathrel{…}` and kin: a body whose atom class is given."""

    source: str
    body: Node
    atom: str


@node
class Phantom(Node):
    r"""`\phantom`, `\smash`, `\rlap` …: `visible` ink or not; `keeps` of w, h, d what is counted; `align` l, c, r."""

    source: str
    body: Node
    visible: bool
    keeps: str
    align: str = "l"


@node
class Raised(Node):
    source: str
    body: Node
    shift_em: float


@node
class Boxed(Node):
    r"""`\boxed`: a frame."""

    source: str
    body: Node


@node
class Negated(Node):
    r"""`\not` and what it strikes out."""

    source: str
    body: Node


@node
class Bar(Node):
    r"""`\rule`: a black box."""

    source: str
    width_em: float
    height_em: float
    raise_em: float = 0.0


@node
class Sideset(Node):
    r"""`\sideset`: scripts at the four corners of a large operator; limits go over and under `base`."""

    base: Node
    left_sub: Node | None
    left_sup: Node | None
    right_sub: Node | None
    right_sup: Node | None


@node
class StyleChoice(Node):
    r"""`\mathchoice`: one branch for each of the four styles."""

    branches: tuple[Node, Node, Node, Node]


@node
class SizedBox(Node):
    r"""A box whose size the source gives: `\makebox[2em][r]{…}`, `\hbox to 2em{…}`; `align` is l, c or r."""

    source: str
    body: Node
    width_em: float
    align: str = "c"


@node
class Cancel(Node):
    r"""`\cancel`: a body with strokes from corner to corner, `/`, `\\` or both."""

    source: str
    body: Node
    strokes: str


@node
class Macro(Node):
    r"""A command with its arguments that draws as `expansion` (`\pmod{n}`, `\iff`)."""

    source: str
    arguments: tuple[Node, ...]
    expansion: Row
