"""Where images can't be shared among questions, a note says so."""

from types import SimpleNamespace

import pytest

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
