"""What each command that takes arguments becomes: the table that the parser looks commands up in."""

from texlens.latex.parse.commands import boxes, fractions, matrices, numbers, operators
from texlens.latex.parse.recursive_descent import Handler

__all__ = ["COMMANDS"]

COMMANDS: dict[str, Handler] = {
    **boxes.HANDLERS,
    **fractions.HANDLERS,
    **matrices.HANDLERS,
    **numbers.HANDLERS,
    **operators.HANDLERS,
}
