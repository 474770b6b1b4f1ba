"""One folder of images, with two readers."""

import pytest

from tests.unit.data.pictures import png
from texlens.workflows.learn.reading import ImageReading, ReadingFile
from texlens.workflows.learn.session import LearnSession


@pytest.fixture
def session(tmp_path, monkeypatch):
    monkeypatch.setattr(LearnSession, "_identity", lambda self, model: "first" if model == "nano" else "second")
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(png(40, 20, number))
    return LearnSession(tmp_path)


def add_readings(session, identity, texts):
    readings = [
        ImageReading(key, text, log_probability=-0.1) for key, text in zip(session.images.by_key, texts, strict=False)
    ]
    ReadingFile(session.folder.root / "readings", identity).append(readings)


def test_an_image_counts_as_read_once_every_reader_has_read_it(session):
    add_readings(session, "first", ["x", "y", "z"])
    assert session.overview().read == 3
    session.folder.begin(second="other")
    assert session.overview().read == 0
    add_readings(session, "second", ["x", "y_2"])
    assert session.overview().read == 2


def test_an_image_that_two_readers_read_differently_comes_first(session):
    session.folder.begin(second="other")
    add_readings(session, "first", ["x", "y", "z"])
    add_readings(session, "second", ["x", "y_2", "z"])
    assert [each.doubt.models for each in session.queue() if each.image.name == "1.png"] == [
        pytest.approx(1 / 3, abs=1e-3)
    ]
    doubtful = max(session.queue(), key=lambda each: each.doubt.value)
    assert doubtful.image.name == "1.png"
