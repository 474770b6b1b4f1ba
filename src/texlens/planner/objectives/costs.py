"""What an objective adds to a run's rows and memory: further answers, the model at the start, the engine that draws."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from texlens.config.objective import NEEDS_START, PREFERENCES, GrpoObjective
from texlens.config.run import RunConfig
from texlens.planner.objectives.rollouts import rollout_bytes
from texlens.planner.rows import RowSize

START, ROLLOUTS = "model at the start", "rollouts"
"""Parts of a memory plan."""


def reserved_bytes(config: RunConfig, model_config: Any, trained_bytes: int, *, on_gpu: bool) -> dict[str, int]:
    """Bytes beside weights, optimizer and packs, by part; none for sft.

    Args:
        model_config: of the model, as transformers builds it.
        trained_bytes: of the trained weights: they are copied at the start, and once more while the copy is in use.
    """
    objective, train = config.train.objective, config.train
    parts: dict[str, int] = {}
    if isinstance(objective, NEEDS_START):
        parts[START] = 2 * trained_bytes
    if isinstance(objective, GrpoObjective) and on_gpu:
        parts[ROLLOUTS] = rollout_bytes(objective, train.batch_size * train.gradient_accumulation, model_config)
    return parts


def answer_sizes(config: RunConfig, sizes: Sequence[RowSize]) -> list[RowSize]:
    """Rows with as many answers as the objective compares, which share image and prompt.

    Example:
        117 tokens of text with an answer of 80, two answers -> 197 tokens with answers of 160
    """
    objective = config.train.objective
    answers = 1
    if isinstance(objective, GrpoObjective):
        answers = objective.answers
    elif isinstance(objective, PREFERENCES):
        answers = 2
    return [replace(size, text=size.text + (answers - 1) * size.answer, answer=answers * size.answer) for size in sizes]


def objective_notes(config: RunConfig) -> list[str]:
    """What the plan's rate leaves out."""
    objective = config.train.objective
    if isinstance(objective, GrpoObjective):
        return [f"rows/s counts training alone: drawing {objective.answers} answers to each row comes before it"]
    if isinstance(objective, NEEDS_START):
        return ["rows/s counts training alone: a forward pass of the model at the start comes before it"]
    return []
