"""The trackers log offline: configuration, metrics, loss plot, and predictions as pictures with captions.

Those that are not installed are skipped; `pip install 'texlens[trackers]'` installs all.
"""

import importlib.util
import json

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


def test_tensorboard_files_have_scalars_pictures_captions_and_configuration(run, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tracker = TRACKERS["tensorboard"]()
    tracker.start(run)
    tracker.log({"train/loss": 0.5}, 3)
    tracker.log_pictures("predictions", [CaptionedImage(Image.new("RGB", (32, 16)), "reference: x")], 3)
    tracker.finish()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [(3, 0.5)]
    assert (events.Images("predictions/0")[0].width, events.Images("predictions/0")[0].height) == (32, 16)
    assert events.Tensors("predictions/0/text_summary")[0].tensor_proto.string_val == [b"reference: x"]
    text = events.Tensors("configuration/text_summary")[0].tensor_proto.string_val[0].decode()
    settings = json.loads(text.removeprefix("```json\n").removesuffix("\n```"))
    assert settings == {
        "project": "project",
        "experiment": "experiment",
        "tags": ["nano", "test"],
        "train": {"steps": 2},
    }
    assert tracker.hint == f"tensorboard --logdir {tmp_path / 'tensorboard'}"
