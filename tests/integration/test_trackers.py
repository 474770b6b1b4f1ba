"""Each tracker shows the validation rows as pictures with captions at each validation; its name is all that is set.

Trackers that are not installed are skipped; `pip install 'texlens[trackers]'` (or `[trackio]`) installs them.
"""

import importlib.util
import re
from pathlib import Path

import pytest

from tests.fixtures.tiny_models import write_tiny_checkpoint
from tests.fixtures.training import run_training
from tests.integration.test_training import settings
from tests.unit.training.trackers.test_registry import not_written
from texlens.config.load import build_config
from texlens.core.run_folder import RunFolder
from texlens.training.trackers.registry import TRACKERS

PICTURE_FILES = {
    "swanlab": r"media/image/0*(\d+)-\w+\.png",
    "wandb": r"media/images/predictions_(\d+)_\w+\.png",
    "trackio": r"/media/.*/(\d+)/[\w-]+\.png",
}
"""The step in the path of a picture, in the tracker's own layout."""


@pytest.fixture
def offline(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("SWANLAB_MODE", "offline")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))


def pictures_per_step(tracker: str, folder: Path, run: RunFolder) -> dict[int, int]:
    steps: list[int] = []
    if tracker == "tensorboard":
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(run.path / "tensorboard"))
        events.Reload()
        steps = [event.step for number in (0, 1) for event in events.Images(f"predictions/{number}")]
    else:
        paths = [path.as_posix() for path in folder.rglob("*.png")]
        steps = [int(match[1]) for path in paths if (match := re.search(PICTURE_FILES[tracker], path))]
    return {step: steps.count(step) for step in sorted(set(steps))}


@pytest.mark.parametrize("tracker", TRACKERS)
def test_two_validations_show_two_rows_each_with_caption(tracker, tmp_path, offline):
    if importlib.util.find_spec(TRACKERS[tracker].package) is None:
        pytest.skip(f"{TRACKERS[tracker].package} is not installed")
    logging = {"trackers": [tracker], "pictures": 2, "every_steps": 1, "project": "formulas", "experiment": "first"}
    tiny = write_tiny_checkpoint(tmp_path / "tiny", "qwen3_vl")
    values = settings(tiny, tmp_path, steps=4, validation={"every_steps": 2}, logging=logging)
    run = RunFolder.create(tmp_path, "run")
    data, evaluate = {"path": "demo", "limit": 8}, {"max_new_tokens": 4}
    run_training(build_config({**values, "data": data, "evaluate": evaluate}), run)
    assert sorted(path.name for path in run.samples.glob("*.jsonl")) == ["00000002.jsonl", "00000004.jsonl"]
    assert "eval_exact_match" not in run.metrics.read_text(), "rows are shown, not scored"
    counts = pictures_per_step(tracker, tmp_path, run)
    plot = {4: 1} if tracker in ("swanlab", "trackio") else {}
    assert counts == {2: 2, 4: 2 + plot.get(4, 0)}, "in these two the loss plot is in the same folder"
    assert not_written([b"reference: ", b"prediction: ", b"eval/loss"], tmp_path) == []
