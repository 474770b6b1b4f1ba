"""Files of TensorBoard."""

import json

from PIL import Image

from texlens.training.trackers.protocol import CaptionedImage
from texlens.training.trackers.registry import TRACKERS


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
