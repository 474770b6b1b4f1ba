"""What a task is. To add one, write it in a file of this folder and list it in `registry`."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple


class TaskPair(NamedTuple):
    """A question about the image of a formula, and its answer."""

    prompt: str
    text: str


@dataclass(frozen=True)
class FormulaTask:
    """
    Args:
        make: from a formula's canonical form to a pair, or None where the formula gives none. It depends on the form
            and on the generator alone.
        summary: one line for the help.
    """

    name: str
    make: Callable[[str, random.Random], TaskPair | None]
    summary: str
