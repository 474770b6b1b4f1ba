"""All tasks by name."""

from collections.abc import Mapping

from texlens.synthesis.tasks.correction import CORRECTION
from texlens.synthesis.tasks.counting import COUNTING
from texlens.synthesis.tasks.protocol import FormulaTask
from texlens.synthesis.tasks.spans import SPANS
from texlens.synthesis.tasks.tree import TREE

TASKS: Mapping[str, FormulaTask] = {task.name: task for task in (TREE, COUNTING, CORRECTION, SPANS)}
