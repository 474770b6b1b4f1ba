import json
from types import SimpleNamespace

from PIL import Image

from texlens.core.errors import DataError
from texlens.metrics.prediction import Prediction
from texlens.training.logging.sample_readings import SampleReadings


class Picture:
    def __init__(self, size):
        self.size = size

    def load(self):
        if not self.size:
            raise DataError("damaged")
        return Image.new("L", self.size, 255)


def sample(name, size):
    return SimpleNamespace(id=name, image=Picture(size), text="x")


SAMPLES = [sample("a", (1280, 64)), sample("b", None), sample("c", (10, 10))]


def state(step):
    return SimpleNamespace(is_world_process_zero=True, global_step=step)


def test_the_first_rows_are_written_with_their_pictures(tmp_path):
    readings = SimpleNamespace(samples=SAMPLES, predictions=[])
    log = SampleReadings(tmp_path / "samples", readings, 2)
    log.on_evaluate(None, state(4), None)
    assert not (tmp_path / "samples").exists()
    readings.predictions = [Prediction(id=name, reference="x", text=f"{name}^2") for name in "cab"]
    log.on_evaluate(None, state(8), None)
    rows = [json.loads(line) for line in (tmp_path / "samples/00000008.jsonl").read_text().splitlines()]
    assert [(row["id"], row["image"], row["text"]) for row in rows] == [("a", "000.png", "a^2"), ("b", None, "b^2")]
    assert Image.open(tmp_path / "samples/images/000.png").size == (640, 32)


def test_a_resumed_training_drops_readings_of_later_steps(tmp_path):
    for step in (4, 8, 12):
        (tmp_path / f"{step:08}.jsonl").write_text("")
    SampleReadings(tmp_path, SimpleNamespace(samples=[], predictions=[]), 2).on_train_begin(None, state(8), None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000004.jsonl", "00000008.jsonl"]
