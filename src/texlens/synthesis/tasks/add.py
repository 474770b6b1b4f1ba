"""Tasks added to rows: as further questions of their image, or as rows of their own; by weight and seed."""

import hashlib
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from texlens.core.errors import ConfigError, DataError
from texlens.data.convert import SplitPart
from texlens.data.load import Rows
from texlens.data.sample import Question, Sample
from texlens.latex.canonical.form import canonical
from texlens.synthesis.tasks.registry import TASKS

MOST = 8
"""Questions of one task a row."""
SCORED_SPLIT = "tasks"
"""The split that scores tasks: its rows' domain is the task."""
SCORED_FROM = ("test", "validation")

Layout = Literal["questions", "rows"]


@dataclass(frozen=True)
class TaskPlan:
    """
    Args:
        weights: questions a row on average, by task.
        layout: `questions` beside a row's own, which share its image; or `rows` of their own.
        scored: at most so many rows of each task in a split of their own.
    """

    weights: Mapping[str, float]
    seed: int = 0
    layout: Layout = "questions"
    scored: int = 100

    def __post_init__(self) -> None:
        for name, weight in self.weights.items():
            if name not in TASKS:
                raise ConfigError(f"task {name!r} is unknown; use {', '.join(TASKS)}")
            if not 0 < weight <= MOST:
                raise ConfigError(f"{name}={weight:g}: a weight is more than 0 and at most {MOST}; name another")
        if not self.weights:
            raise ConfigError(f"no task; name some, such as {next(iter(TASKS))}=1")


def task_parts(splits: Mapping[str, Rows], plan: TaskPlan) -> tuple[list[SplitPart], Counter[str]]:
    """The parts of the new data set, and how many train questions each task has; `no task` counts rows without any.

    Train rows get the questions, other splits stay as they are, and some of their rows make the split `tasks`.

    Raises:
        DataError: no train split, or a split `tasks` is there already.
    """
    if "train" not in splits or SCORED_SPLIT in splits:
        raise DataError("tasks need a split train, and no split tasks; name the set that they are to be added to")
    drawn = [tuple(questions_of(row, plan.weights, plan.seed)) for row in splits["train"]]
    counts = Counter(str(each.task) for row in drawn for each in row)
    counts["no task"] = drawn.count(())
    parts = []
    for split, rows in splits.items():
        if split != "train":
            parts.append(SplitPart(split, rows))
        elif plan.layout == "questions":
            added = {row.id: questions for row, questions in zip(rows, drawn, strict=True)}
            parts.append(SplitPart(split, rows, lambda row, added=added: _with_questions(row, added[row.id])))
        else:
            parts += [SplitPart(split, rows), *_own_rows(split, rows, drawn)]
    return parts + _scored(splits, plan), counts


def questions_of(sample: Sample, weights: Mapping[str, float], seed: int) -> Iterator[Question]:
    """The row's further questions: of each task `weight` on average, drawn by seed, task and the row's id alone.

    Equal questions of a row are asked once. A row whose text can't be parsed, or that has several images or earlier
    turns, gives none.
    """
    form = canonical(sample.text)
    if sample.more_images or sample.history or form.problem is not None:
        return
    prompts = {question.prompt for question in sample.more_questions}
    for name, weight in weights.items():
        rng = random.Random(hashlib.sha256(f"{seed}\0{name}\0{sample.id}".encode()).digest())
        for _ in range(int(weight) + (rng.random() < weight % 1)):
            pair = TASKS[name].make(form.text, rng)
            if pair is not None and pair.prompt not in prompts:
                prompts.add(pair.prompt)
                yield Question(pair.prompt, pair.text, name)


def _with_questions(row: Sample, questions: tuple[Question, ...]) -> Sample:
    return replace(row, more_questions=(*row.more_questions, *questions))


def _own_rows(split: str, rows: Rows, drawn: Sequence[tuple[Question, ...]]) -> Iterator[SplitPart]:
    """A part for the first question of each row, one for the second, and so on."""
    for number in range(max(map(len, drawn), default=0)):
        chosen = [index for index, questions in enumerate(drawn) if len(questions) > number]
        part = rows.take(chosen, with_rejected=False)
        questions = {row.id: drawn[index][number] for index, row in zip(chosen, part, strict=True)}
        yield SplitPart(
            split, part, lambda row, questions=questions, number=number: _own_row(row, questions[row.id], number)
        )


def _own_row(row: Sample, question: Question, number: int) -> Sample:
    plain = replace(row, more_questions=(_of_task(question),))
    return replace(plain.separate()[1], id=f"{row.id}/{question.task}-{number}")


def _of_task(question: Question) -> Question:
    return replace(question, task=f"task/{question.task}")


def _scored(splits: Mapping[str, Rows], plan: TaskPlan) -> list[SplitPart]:
    source = next((splits[name] for name in SCORED_FROM if name in splits), None)
    if source is None or not plan.scored:
        return []
    parts = []
    for name in plan.weights:
        drawn = [tuple(questions_of(row, {name: 1}, plan.seed)) for row in source]
        chosen = set([index for index, questions in enumerate(drawn) if questions][: plan.scored])
        scored = [questions if index in chosen else () for index, questions in enumerate(drawn)]
        parts += _own_rows(SCORED_SPLIT, source, scored)
    return parts
