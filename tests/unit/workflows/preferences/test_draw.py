"""Data sets of drawn answers: rows accounted for, the same answers after a stop."""

import pytest

from tests.fixtures.drawn_images import drawn
from texlens.core.errors import DataError
from texlens.data.load import load_split
from texlens.data.sample import LazyImage, Sample
from texlens.metrics.prediction import Prediction
from texlens.rewards.score import RewardScorer, RewardSpec
from texlens.workflows.preferences import draw
from texlens.workflows.preferences.draw import DrawOptions, best, draw_rows, pairs

WEIGHTS = {"edit_similarity": 1.0}
OPTIONS = DrawOptions(2, 1.0, 16, WEIGHTS)


class Rows(list):
    fingerprint = "rows"


class Model:
    """Draws the texts of a table, the same for all rows; `fails_at` ends it after that many calls."""

    def __init__(self, texts, fails_at=None):
        self.texts, self.calls, self.fails_at = texts, 0, fails_at

    def generate(self, samples, *, sampling, batch_size, seed):
        if self.calls == self.fails_at:
            raise KeyboardInterrupt
        self.calls += 1
        for number, sample in enumerate(reversed(samples)):
            answer = (len(samples) - 1 - number) % len(self.texts)
            yield Prediction(sample.id, sample.text, self.texts[answer])


def rows(count=2):
    return Rows(Sample(f"r{number}", LazyImage.from_bytes(drawn(40, 40, number)), "a + b") for number in range(count))


def draw_into(model, folder, choice, count=2):
    with RewardScorer(RewardSpec(WEIGHTS)) as scorer:
        made_by = {"command": "test"}
        return draw_rows(lambda: model, rows(count), folder, OPTIONS, choice, made_by=made_by, scorer=scorer)


def test_pairs_hold_both_answers_and_their_scores(tmp_path):
    statistics, stood_there = draw_into(Model(["a + b", "a + c"]), tmp_path / "out", pairs(0.2, use_text=False))
    assert (statistics["kept"], stood_there) == (2, False)
    first = load_split(str(tmp_path / "out"))[0]
    assert (first.text, first.extra["rejected"]) == ("a + b", "a + c")
    assert (first.extra["score"], first.extra["rejected_score"]) == (1.0, pytest.approx(2 / 3))
    assert draw_into(Model([]), tmp_path / "out", pairs(0.2, use_text=False))[1]


def test_the_row_s_own_text_can_be_the_good_answer(tmp_path):
    draw_into(Model(["a - b", "x + c"]), tmp_path / "out", pairs(0.2, use_text=True))
    first = load_split(str(tmp_path / "out"))[0]
    assert (first.text, first.extra["rejected"]) == ("a + b", "x + c")


def test_rows_without_a_margin_are_rejected_and_counted(tmp_path):
    with pytest.raises(DataError, match="no margin"):
        draw_into(Model(["a + c", "a + d"]), tmp_path / "out", pairs(0.2, use_text=False))


def test_the_best_answer_becomes_the_text(tmp_path):
    draw_into(Model(["a + c", "a + b"]), tmp_path / "out", best(1.0))
    first = load_split(str(tmp_path / "out"))[0]
    assert (first.text, first.extra["reference"], first.extra["score"]) == ("a + b", "a + b", 1.0)


def test_a_stopped_call_goes_on_and_ends_with_the_same_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(draw, "WINDOW", 1)
    monkeypatch.setattr(draw, "SHARD_ROWS", 1)
    choice = pairs(0.2, use_text=False)
    with pytest.raises(KeyboardInterrupt):
        draw_into(Model(["a + b", "a + c"], fails_at=2), tmp_path / "out", choice, 3)
    model = Model(["a + b", "a + c"])
    statistics, _ = draw_into(model, tmp_path / "out", choice, 3)
    assert (statistics["kept"], model.calls) == (3, 1)
