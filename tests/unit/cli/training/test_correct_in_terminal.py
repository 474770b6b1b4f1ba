"""Correcting readings line by line."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from texlens.cli.training.correct_in_terminal import correct_in_terminal
from texlens.data.edits.log import EditLog
from texlens.workflows.learn.doubt import Doubt
from texlens.workflows.learn.images import LearnImage
from texlens.workflows.learn.queue import QueuedImage
from texlens.workflows.learn.reading import ImageReading


@pytest.fixture
def session(tmp_path):
    images = [LearnImage(str(number), f"{number}.png", Path(f"{number}.png")) for number in range(4)]
    queue = [
        QueuedImage(each, ImageReading(each.key, f"x_{each.key}", f"x_{each.key}"), Doubt(0.5, 0.5), False)
        for each in images
    ]
    return SimpleNamespace(queue=lambda: list(queue), folder=SimpleNamespace(corrections=EditLog(tmp_path / "c.jsonl")))


def answers(*lines):
    remaining = list(lines)

    def ask(_):
        if not remaining:
            raise EOFError
        return remaining.pop(0)

    return ask


def labels(session):
    return {key: state.label for key, state in session.folder.corrections.rows().items() if state.is_changed}


def test_enter_confirms_and_a_text_corrects(session):
    assert correct_in_terminal(session, "anna", answers("", "y^2", "q")) == 2
    assert labels(session) == {"0": "x_0", "1": "y^2"}
    assert [edit.who for edit in session.folder.corrections.edits()] == ["anna", "anna"]


def test_x_leaves_an_image_out(session):
    correct_in_terminal(session, "anna", answers("x"))
    assert session.folder.corrections.rows()["0"].excluded == ""


def test_u_takes_the_last_answer_back_and_asks_again(session):
    assert correct_in_terminal(session, "anna", answers("u", "wrong", "u", "right")) == 1
    assert labels(session) == {"0": "right"}


def test_s_puts_an_image_to_the_end(session):
    correct_in_terminal(session, "anna", answers("s", "one", "two", "three", "zero"))
    assert labels(session) == {"1": "one", "2": "two", "3": "three", "0": "zero"}


def test_the_last_image_can_be_skipped(session):
    assert correct_in_terminal(session, "anna", answers("1", "2", "3", "s")) == 3


def test_a_text_that_is_no_formula_is_taken_and_remarked_on(session, capsys):
    correct_in_terminal(session, "anna", answers(r"\frac{a"))
    assert labels(session) == {"0": r"\frac{a"}
    assert "not a formula as it stands" in capsys.readouterr().out


def test_the_end_of_the_input_keeps_what_was_answered(session):
    assert correct_in_terminal(session, "anna", answers("y")) == 1
