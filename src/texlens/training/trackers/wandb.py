"""Weights & Biases; `WANDB_MODE=offline` writes into the run folder only."""

from collections.abc import Mapping, Sequence
from typing import Any

from texlens.training.trackers.protocol import CaptionedImage, TrackedRun


class WandB:
    package = "wandb"
    environment: tuple[str, ...] = ("WANDB_API_KEY", "WANDB_MODE")

    def start(self, run: TrackedRun) -> None:
        import wandb

        self._wandb: Any = wandb
        self._run: Any = wandb.init(
            project=run.project,
            name=run.experiment,
            tags=list(run.tags),
            config=dict(run.settings),
            dir=str(run.folder),
        )

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        self._run.log(dict(metrics), step=step)

    def log_pictures(self, name: str, pictures: Sequence[CaptionedImage], step: int) -> None:
        images = [self._wandb.Image(picture.image, caption=picture.caption) for picture in pictures]
        self._run.log({name: images}, step=step)

    def finish(self) -> None:
        self._run.finish()

    @property
    def hint(self) -> str | None:
        return None
