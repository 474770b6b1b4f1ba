"""The trackers log offline: configuration, metrics, loss plot, and predictions as pictures with captions.

Those that are not installed are skipped; `pip install 'texlens[trackers]'` installs all.
"""

import importlib.util
import time

import pytest
from PIL import Image

from texlens.training.trackers.protocol import CaptionedImage
from texlens.training.trackers.registry import TRACKERS, TrackerLog


class State:
    is_world_process_zero, global_step = True, 2


def log_of(trackers, run, *, validation=(), test=(), announce=print):
    return TrackerLog(trackers, run, lambda: validation, lambda: test, lambda: Image.new("RGB", (8, 8)), announce)


WRITTEN_WITHIN_S = 30
"""W&B's process may write its file after `finish` has returned."""
PICTURE = CaptionedImage(Image.new("RGB", (32, 16), "white"), "reference: x\nprediction: y")


def not_written(expected, folder) -> list[bytes]:
    """Texts that no file of the folder holds, once a tracker's own process has had time to write."""
    end = time.monotonic() + WRITTEN_WITHIN_S
    while True:
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        stored = b"".join(path.read_bytes() for path in files).replace(b"\\n", b"\n")
        missing = [text for text in expected if text not in stored]
        if not missing or time.monotonic() > end:
            return missing
        time.sleep(0.1)


@pytest.mark.parametrize("name", TRACKERS)
def test_tracker_logs_metrics_pictures_and_plot_offline(name, run, tmp_path):
    tracker = TRACKERS[name]()
    if importlib.util.find_spec(tracker.package) is None:
        pytest.skip(f"{tracker.package} is not installed")
    announced = []
    log = log_of([tracker], run, validation=[PICTURE], announce=announced.append)
    log.on_train_begin(None, State, None)
    log.on_log(None, State, None, logs={"loss": 0.5, "eval_loss": 0.25, "text": "no number"})
    log.on_evaluate(None, State, None)
    log.on_train_end(None, State, None)
    expected = (b"train/loss", b"eval/loss", b"prediction: y", b"predictions", b"loss_plot", b"steps")
    assert not_written(expected, tmp_path) == []
    assert announced == ([f"to see the run: {tracker.hint}"] if tracker.hint else [])


class Recorded:
    """A tracker that keeps what it is given."""

    package, environment, hint = "json", (), None

    def __init__(self):
        self.pictures = []

    def start(self, run):
        self.run = run

    def log(self, metrics, step):
        pass

    def log_pictures(self, name, pictures, step):
        self.pictures.append((name, [picture.caption for picture in pictures], step))

    def finish(self):
        pass


def test_test_rows_are_shown_at_the_end_where_no_validation_has_shown_any(run):
    tracker = Recorded()
    log = log_of([tracker], run, test=[PICTURE])
    log.on_evaluate(None, State, None)
    assert tracker.pictures == []
    log.on_train_end(None, State, None)
    assert tracker.pictures == [
        ("predictions", [PICTURE.caption], 2),
        ("loss_plot", ["training and validation loss"], 2),
    ]


def test_rows_of_a_validation_are_not_followed_by_test_rows(run):
    tracker = Recorded()
    log = log_of([tracker], run, validation=[PICTURE], test=[PICTURE])
    log.on_evaluate(None, State, None)
    log.on_train_end(None, State, None)
    assert [name for name, *_ in tracker.pictures] == ["predictions", "loss_plot"]


def test_answers_that_an_objective_drew_are_shown_where_a_training_loss_is_logged(run):
    tracker = Recorded()
    log = log_of([tracker], run)
    log.rollouts = lambda: [PICTURE]
    log.on_log(None, State, None, logs={"eval_loss": 0.25})
    log.on_log(None, State, None, logs={"loss": 0.5})
    assert tracker.pictures == [("rollouts", [PICTURE.caption], 2)]
