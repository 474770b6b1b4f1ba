"""Trackio: a local database and dashboard (`trackio show`). It has no tags; they are in the configuration."""

from collections.abc import Mapping, Sequence
from typing import Any

from texlens.training.trackers.protocol import CaptionedImage, TrackedRun


class Trackio:
    package = "trackio"
    environment: tuple[str, ...] = ()

    def start(self, run: TrackedRun) -> None:
        import trackio

        self._trackio: Any = trackio
        self._project = run.project
        trackio.init(project=run.project, name=run.experiment, config={**run.settings, "tags": list(run.tags)})

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        self._trackio.log(dict(metrics), step=step)

    def log_pictures(self, name: str, pictures: Sequence[CaptionedImage], step: int) -> None:
        images = {
            f"{name}/{number}": self._trackio.Image(picture.image, caption=picture.caption)
            for number, picture in enumerate(pictures)
        }
        self._trackio.log(images, step=step)

    def finish(self) -> None:
        self._trackio.finish()

    @property
    def hint(self) -> str:
        return f"trackio show --project {self._project}"
