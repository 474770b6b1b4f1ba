"""Other engines' habits, for our own engine: spaces, sizes and places that a set of formulas was typeset with.

Every engine puts the same glyphs on a line; what differs is the space around relations, how small and how far scripts
are, how thick a rule is. `Habits.drawn(rng)` is one way to do it, `HabitEngine(font, habits)` lays formulas out so. A
hand-set space looks like an engine's habit, so `without_small_spaces` takes it out of labels.
"""

import random
from dataclasses import dataclass

from texlens.latex.layout.boxes import Layout, flatten
from texlens.latex.layout.engine import LayoutEngine
from texlens.latex.layout.fonts import MathFont, math_font
from texlens.latex.layout.formula import METHODS, layout
from texlens.latex.layout.spacing import GAPS
from texlens.latex.parse.parser import parse

_SMALL_SPACES = frozenset(["\\,", "\\:", "\\;", "\\!", "\\>", "\\", "\\ "])
"""Spaces of less than a letter; a control space is one backslash once a label is split at its spaces."""
_UP = ("SuperscriptShiftUp", "SuperscriptShiftUpCramped", "DisplaySuperscriptShiftUp")
_DOWN = ("SubscriptShiftDown", "SubscriptShiftDownAlone")


@dataclass(frozen=True)
class Habits:
    """What an engine does in its own way; the defaults are TeX's.

    Attributes:
        operator, binary, relation: space around operators, binary operators and relations, in em.
        in_scripts: whether scripts have these spaces too, as MathML's operator dictionary has.
        script, scriptscript: sizes of scripts, of the text's; 0 is the font's.
        up, down: how far scripts are shifted, and `rule` how thick a rule is, of the font's.
    """

    operator: float = 3 / 18
    binary: float = 4 / 18
    relation: float = 5 / 18
    in_scripts: bool = False
    script: float = 0.0
    scriptscript: float = 0.0
    up: float = 1.0
    down: float = 1.0
    rule: float = 1.0

    @classmethod
    def drawn(cls, rng: random.Random) -> "Habits":
        """Some engine's."""
        tight = rng.uniform(0.6, 1.25)
        operator, binary, relation = (width / 18 * tight * rng.uniform(0.85, 1.2) for width in (3, 4, 5))
        script = rng.uniform(0.62, 0.76)
        scriptscript = max(0.45, script * rng.choice((script, 1.0, rng.uniform(0.7, 1.0))))
        up, down, rule = rng.uniform(0.85, 1.25), rng.uniform(0.8, 1.3), rng.uniform(0.7, 1.5)
        return cls(operator, binary, relation, rng.random() < 0.4, script, scriptscript, up, down, rule)


OWN_HABITS = 0.55
"""Of the fonts of a palette, this share is laid out with another engine's habits."""


class HabitEngine(LayoutEngine):
    """Our engine with another's habits."""

    def __init__(self, font: MathFont, habits: Habits):
        super().__init__(font, METHODS)
        scales = dict.fromkeys(_UP, habits.up) | dict.fromkeys(_DOWN, habits.down)
        self.constants = {name: value * scales.get(name, 1.0) for name, value in font.constants.items()}
        self.sizes = (1.0, 1.0, habits.script or self.sizes[2], habits.scriptscript or self.sizes[3])
        self.thickness *= habits.rule
        self._widths = {"0": 0.0, "1": habits.operator, "4": habits.operator, "5": habits.binary, "6": habits.relation}
        self._in_scripts = habits.in_scripts

    def gap(self, left: int, right: int, style: int) -> float:
        code = GAPS[left][right]
        return self._widths[code] if code == "1" or style < 4 or self._in_scripts else 0.0


@dataclass(frozen=True)
class Typesetter:
    """A font, and the engine that lays it out; None is ours."""

    font: str
    engine: HabitEngine | None = None

    @classmethod
    def drawn(cls, rng: random.Random, font: str) -> "Typesetter":
        """The font with habits drawn for it, or with TeX's."""
        return cls(font, HabitEngine(math_font(font), Habits.drawn(rng)) if rng.random() < OWN_HABITS else None)

    def layout(self, label: str) -> Layout:
        """Raises: LatexError."""
        if self.engine is None:
            return layout(label, font=self.font, system_fonts=False)
        return flatten(self.engine.node(parse(label), 0, ("", False)), 1.0)


PLAIN = Typesetter("latin-modern")


def without_small_spaces(label: str) -> str:
    r"""The label without `\,`, `\:`, `\;`, `\!` and `\ `; `\quad` and `~` stay.

    Example:
        without_small_spaces("a = \\ b \\, c") == "a = b c"
    """
    return " ".join(token for token in label.split() if token not in _SMALL_SPACES)
