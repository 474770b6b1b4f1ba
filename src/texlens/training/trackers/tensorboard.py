"""TensorBoard: event files in `RUN/tensorboard`."""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from texlens.training.trackers.protocol import CaptionedImage, TrackedRun


class TensorBoard:
    package = "tensorboard"
    environment: tuple[str, ...] = ()

    def start(self, run: TrackedRun) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._folder: Path = run.folder / "tensorboard"
        self._writer = SummaryWriter(str(self._folder))
        described = {"project": run.project, "experiment": run.experiment, "tags": list(run.tags), **run.settings}
        self._writer.add_text(
            "configuration", f"```json\n{json.dumps(described, indent=1, ensure_ascii=False)}\n```", 0
        )

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)

    def log_pictures(self, name: str, pictures: Sequence[CaptionedImage], step: int) -> None:
        for number, picture in enumerate(pictures):
            pixels = np.asarray(picture.image.convert("RGB"))
            self._writer.add_image(f"{name}/{number}", pixels, step, dataformats="HWC")
            self._writer.add_text(f"{name}/{number}", picture.caption, step)

    def finish(self) -> None:
        self._writer.close()

    @property
    def hint(self) -> str:
        return f"tensorboard --logdir {shlex.quote(str(self._folder))}"
