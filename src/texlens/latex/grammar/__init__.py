r"""A pushdown automaton that accepts beginnings of formulas that `parse` will accept, for constrained decoding.

`signatures` lists the arguments of every command, `automaton` reads text a few characters at a time, `closing` finds a
short text that completes a beginning.
"""

from texlens.latex.grammar.automaton import START, State, advance, is_complete
from texlens.latex.grammar.closing import closing

__all__ = ["START", "State", "advance", "closing", "is_complete"]
