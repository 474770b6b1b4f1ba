"""The trackers log offline: configuration, metrics, loss plot, and predictions as pictures with captions.

Those that are not installed are skipped; `pip install 'texlens[trackers]'` installs all.
"""

import importlib.util

import pytest
from PIL import Image

from texlens.training.trackers.protocol import CaptionedImage, TrackedRun
from texlens.training.trackers.registry import TRACKERS, TrackerLog


@pytest.fixture
def run(tmp_path, monkeypatch):
    for name, value in {
        "WANDB_MODE": "offline",
        "SWANLAB_MODE": "offline",
        "TRACKIO_DIR": str(tmp_path / "trackio"),
    }.items():
        monkeypatch.setenv(name, value)
    return TrackedRun(tmp_path, "project", "experiment", ("nano", "test"), {"train": {"steps": 2}})


class State:
    is_world_process_zero, global_step = True, 2


@pytest.mark.parametrize("name", TRACKERS)
def test_tracker_logs_metrics_pictures_and_plot_offline(name, run, tmp_path):
    tracker = TRACKERS[name]()
    if importlib.util.find_spec(tracker.package) is None:
        pytest.skip(f"{tracker.package} is not installed")
    picture = CaptionedImage(Image.new("RGB", (32, 16), "white"), "reference: x\nprediction: y")
    announced = []
    log = TrackerLog([tracker], run, lambda: [picture], lambda: Image.new("RGB", (8, 8)), announced.append)
    log.on_train_begin(None, State, None)
    log.on_log(None, State, None, logs={"loss": 0.5, "eval_loss": 0.25, "text": "no number"})
    log.on_evaluate(None, State, None)
    log.on_train_end(None, State, None)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files, "nothing was written"
    assert announced == ([f"to see the run: {tracker.hint}"] if tracker.hint else [])
