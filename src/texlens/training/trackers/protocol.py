"""Experiment trackers: what a tracker is given, and the registry.

To add one, write its class in a file of this folder and add it to `registry.TRACKERS`; docs/extending/tracker.md has an
example.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from PIL import Image


@dataclass(frozen=True)
class TrackedRun:
    """
    Args:
        folder: of the run; trackers write their files into it.
        settings: the complete configuration.
    """

    folder: Path
    project: str
    experiment: str
    tags: Sequence[str]
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class CaptionedImage:
    image: Image.Image
    caption: str


class Tracker(Protocol):
    """Started when training begins, in the main process."""

    package: str
    """What has to be installed."""
    environment: tuple[str, ...]
    """Environment variables of which one must be set; none are needed if it is empty."""

    def start(self, run: TrackedRun) -> None: ...

    def log(self, metrics: Mapping[str, float], step: int) -> None: ...

    def log_pictures(self, name: str, pictures: Sequence[CaptionedImage], step: int) -> None: ...

    def finish(self) -> None: ...

    @property
    def hint(self) -> str | None:
        """How to look at the run, printed after training; None if the tracker prints its own."""
        ...
