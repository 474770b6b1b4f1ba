"""Where images can't be shared among questions, a note says so."""

from types import SimpleNamespace

import pytest

from texlens.config.objective import GrpoObjective
from texlens.training.objectives.backend import ObjectiveBackend
from texlens.training.run import _questions_note


@pytest.mark.parametrize(
    ("backend", "questions", "notes"),
    [
        ("packed", 1200, []),
        ("plain", 0, []),
        ("plain", 1200, ["1,200 further questions are rows of their own: the plain backend shares no image"]),
    ],
)
def test_rows_of_their_own_are_counted(backend, questions, notes):
    checks = {"train": SimpleNamespace(more_questions=questions)}
    run = SimpleNamespace(prepared=SimpleNamespace(splits=SimpleNamespace(checks=checks)))
    assert _questions_note(run, SimpleNamespace(name=backend)) == notes


def test_an_objective_that_takes_a_row_s_own_question_counts_the_others():
    checks = {"train": SimpleNamespace(more_questions=1200)}
    run = SimpleNamespace(
        prepared=SimpleNamespace(splits=SimpleNamespace(checks=checks)),
        config=SimpleNamespace(train=SimpleNamespace(objective=GrpoObjective(kind="grpo"))),
    )
    backend = ObjectiveBackend(SimpleNamespace(name="packed"), SimpleNamespace())
    assert _questions_note(run, backend) == [
        "1,200 further questions are left out: objective grpo takes a row's own question"
    ]
