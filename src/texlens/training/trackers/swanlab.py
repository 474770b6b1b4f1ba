"""SwanLab (0.7 and later; 0.10 logs only after `swanlab.init`); `SWANLAB_MODE=offline` writes into the run folder."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from texlens.training.trackers.protocol import CaptionedImage, TrackedRun


class SwanLab:
    package = "swanlab"
    environment: tuple[str, ...] = ("SWANLAB_API_KEY", "SWAN_LAB", "SWANLAB_MODE")

    def start(self, run: TrackedRun) -> None:
        import swanlab

        if "SWAN_LAB" in os.environ:
            os.environ.setdefault("SWANLAB_API_KEY", os.environ["SWAN_LAB"])
        self._swanlab: Any = swanlab
        swanlab.init(
            project=run.project,
            experiment_name=run.experiment,
            tags=list(run.tags),
            config=dict(run.settings),
            logdir=str(run.folder / "swanlab"),
        )

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        self._swanlab.log(dict(metrics), step=step)

    def log_pictures(self, name: str, pictures: Sequence[CaptionedImage], step: int) -> None:
        images = [self._swanlab.Image(picture.image, caption=picture.caption) for picture in pictures]
        self._swanlab.log({name: images}, step=step)

    def finish(self) -> None:
        self._swanlab.finish()

    @property
    def hint(self) -> str | None:
        return None
