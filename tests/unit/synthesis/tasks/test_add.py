from collections import Counter
from dataclasses import replace

import pytest

from tests.unit.data.sample_factory import plain_sample
from texlens.core.errors import ConfigError
from texlens.data.load import load_split
from texlens.data.sample import Question
from texlens.synthesis.tasks.add import TaskPlan, questions_of, task_parts

ROW = plain_sample("7", r"\frac{x}{2} - y_1")


def rows(split: str, count: int):
    return load_split("demo", split=f"{split}[:{count}]")


def test_questions_depend_on_seed_task_and_row_alone():
    weights = {"tree": 1, "correction": 2, "spans": 1}
    first = list(questions_of(ROW, weights, 3))
    assert first == list(questions_of(ROW, weights, 3))
    assert [each for each in first if each.task == "spans"] == list(questions_of(ROW, {"spans": 1}, 3))
    assert {tuple(questions_of(ROW, {"correction": 1}, seed)) for seed in range(8)} != {tuple(first)}
    assert first[0].text == r"\frac above{x} below{2} - y sub{1}"


def test_weights_are_questions_a_row_on_average():
    samples = [replace(ROW, id=str(number)) for number in range(400)]
    counts = Counter(each.task for row in samples for each in questions_of(row, {"tree": 0.25, "counting": 1}, 0))
    assert counts["counting"] == 400
    assert 70 < counts["tree"] < 130


@pytest.mark.parametrize("change", [{"text": r"\frac{x"}, {"more_images": (ROW.image,)}])
def test_rows_without_one_readable_formula_are_asked_nothing(change):
    assert list(questions_of(replace(ROW, **change), {"tree": 1}, 0)) == []


def test_a_question_that_a_row_has_is_not_asked_again():
    row = replace(ROW, more_questions=(Question("Write the formula as a tree.", "mine"),))
    assert list(questions_of(row, {"tree": 3}, 0)) == []


def test_train_rows_get_questions_and_test_rows_make_a_split_that_scores_each_task():
    parts, counts = task_parts({"train": rows("train", 6), "test": rows("test", 5)}, TaskPlan({"tree": 1}, scored=3))
    assert [(part.split, len(part.rows)) for part in parts] == [("train", 6), ("test", 5), ("tasks", 3)]
    assert counts["tree"] == 6
    train, test, tasks = ([part.change(row) if part.change else row for row in part.rows] for part in parts)
    assert all(row.more_questions[-1].task == "tree" for row in train)
    assert not any(row.more_questions for row in test)
    assert {row.domain for row in tasks} == {"task/tree"}
    assert tasks[0].prompt == "Write the formula as a tree."
    assert tasks[0].id.endswith("/tree-0")


def test_questions_may_be_rows_of_their_own():
    plan = TaskPlan({"tree": 1, "counting": 1}, layout="rows", scored=0)
    parts, _ = task_parts({"train": rows("train", 4)}, plan)
    changed = [part.change(row) if part.change else row for part in parts for row in part.rows]
    assert len(changed) == 12
    assert len({row.id for row in changed}) == 12
    assert Counter(row.domain for row in changed if row.domain) == {"task/tree": 4, "task/counting": 4}
    assert not any(row.more_questions for row in changed)


@pytest.mark.parametrize(
    ("weights", "reason"),
    [({"forest": 1}, "task 'forest' is unknown; use tree"), ({"tree": 0}, "tree=0: a weight"), ({}, "no task")],
)
def test_other_tasks_and_weights_are_errors(weights, reason):
    with pytest.raises(ConfigError, match=reason):
        TaskPlan(weights)
