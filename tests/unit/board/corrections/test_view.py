"""The state of a folder, as the page is sent it."""

import json
from pathlib import Path

import pytest

from tests.unit.data.pictures import png
from texlens.board.corrections.view import corrected_json, overview_json, queued_json, training
from texlens.core.run_folder import RunFolder
from texlens.workflows.learn.corrections import correct
from texlens.workflows.learn.doubt import Doubt
from texlens.workflows.learn.queue import QueuedImage
from texlens.workflows.learn.reading import ImageReading
from texlens.workflows.learn.round import RoundPlan
from texlens.workflows.learn.session import LearnSession


@pytest.fixture
def session(tmp_path, monkeypatch):
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(png(40, 20, number))
    monkeypatch.setattr(LearnSession, "_identity", lambda self, model: "fake")
    return LearnSession(tmp_path)


def test_the_overview_counts(session):
    shown = overview_json(session)
    assert (shown["images"], shown["read"], shown["rounds"], shown["training"]) == (3, 0, [], None)
    assert json.loads(json.dumps(shown)) == shown


def test_which_side_a_picture_is_on_is_not_sent(session):
    image = next(iter(session.images.by_key.values()))
    shown = queued_json(QueuedImage(image, ImageReading(image.key, "x", other_view="y"), Doubt(0.5, 0.5), True))
    assert set(shown) == {"key", "name", "text", "other_view", "doubt"}


def test_corrected_pictures_come_newest_first_with_their_history(session):
    first, second, _ = session.images.by_key.values()
    for image, text in ((first, "a"), (second, "b"), (first, "c")):
        correct(session.folder.corrections, image, text, reading="x", who="anna")
    shown = corrected_json(session, 5)
    assert [(each["name"], each["label"], len(each["history"])) for each in shown] == [
        (first.name, "c", 2),
        (second.name, "b", 1),
    ]


def test_the_step_of_a_training_is_shown(session):
    folder = session.folder.round_folder(1)
    RoundPlan(1, "nano", "nano", 0, (), (), 0).write(folder)
    assert training(session) == {"round": 1, "step": None, "loss": None}
    run = RunFolder.create(folder, "run")
    Path(run.metrics).write_text('{"step": 10, "loss": 0.5}\n{"step": 20, "loss": 0.25}\n{"validation_loss": 1}\n')
    assert training(session) == {"round": 1, "step": 20, "loss": 0.25}
